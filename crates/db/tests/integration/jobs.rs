//! Work that takes time: claimed, renewed, ended once, whoever dies over it.

use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;
use sheaf_db::testing::TestDatabase;
use sheaf_db::{Artifact, Beat, Database, Ending, Hold, Job, JobState, Jobs, NewJob, Reservation};
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(10);

const KINDS: [&str; 2] = ["export", "compact"];

async fn both() -> [TestDatabase; 2] {
    [TestDatabase::sqlite(), TestDatabase::postgres().await]
}

fn job(owner: &str) -> NewJob {
    NewJob {
        id: Uuid::new_v4(),
        kind: "export".to_owned(),
        owner: owner.to_owned(),
        owner_name: format!("{owner} the first"),
        parameters: json!({"z": 1, "a": [null, "é"]}),
        max_attempts: 2,
        reserved: None,
    }
}

fn artifact(job: &Job, expires_at_ms: i64) -> Artifact {
    Artifact {
        id: Uuid::new_v4(),
        job: job.id,
        owner: job.owner.clone(),
        file_name: "export.zip".to_owned(),
        bytes: 12,
        sha256: "00".repeat(32),
        created_at_ms: 5,
        expires_at_ms,
    }
}

fn done(result: &str, artifacts: Vec<Artifact>) -> Ending {
    Ending::Succeeded { result: Some(result.to_owned()), artifacts }
}

async fn claim(jobs: &Jobs, holder: i64, most: usize, now_ms: i64) -> Vec<Job> {
    jobs.claim(holder, &KINDS, most, LEASE, now_ms).await.unwrap()
}

async fn state(jobs: &Jobs, id: Uuid) -> Job {
    jobs.find(id).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_from_begin_to_end() {
    for test in both().await {
        let jobs = test.open().await.jobs();
        assert_eq!(jobs.find(Uuid::new_v4()).await.unwrap(), None);
        assert_eq!(claim(&jobs, 1, 9, 0).await, []);
        let asked = jobs.insert(vec![job("ann"), job("ann"), job("bob")], 100).await.unwrap();
        assert_eq!(asked[0].parameters.to_string(), r#"{"z":1,"a":[null,"é"]}"#);
        assert_eq!(state(&jobs, asked[0].id).await, asked[0]);
        assert_eq!((asked[0].state, asked[0].attempt, asked[0].max_attempts), (JobState::Queued, 0, 2));
        assert_eq!(jobs.open().await.unwrap(), [("export".to_owned(), JobState::Queued, 3)]);
        assert!(jobs.insert(vec![NewJob { id: asked[0].id, ..job("eve") }], 100).await.is_err());

        let claimed = claim(&jobs, 1, 2, 200).await;
        assert_eq!(claimed.len(), 2);
        let rest = claim(&jobs, 2, 9, 200).await;
        assert_eq!(rest.len(), 1);
        assert_eq!(jobs.open().await.unwrap(), [("export".to_owned(), JobState::Running, 3)]);
        let ids: HashSet<Uuid> = claimed.iter().chain(&rest).map(|job| job.id).collect();
        assert_eq!(ids, asked.iter().map(|job| job.id).collect());
        assert_eq!(claim(&jobs, 2, 9, 200).await, []);
        let [first, second] = claimed.as_slice() else { panic!("two") };
        assert_eq!((first.state, first.attempt, first.started_at_ms), (JobState::Running, 1, Some(200)));

        let beat = |id, progress| Beat { id, progress, activity: "reading".to_owned() };
        let beats = vec![beat(first.id, 0.5), beat(Uuid::new_v4(), 0.1), beat(rest[0].id, 0.9)];
        let holds = jobs.renew(1, beats, LEASE, 300).await.unwrap();
        assert_eq!(holds, [Hold::Held, Hold::Lost, Hold::Lost]);
        let now = state(&jobs, first.id).await;
        assert_eq!((now.progress, now.activity.as_str()), (0.5, "reading"));
        assert_eq!(state(&jobs, rest[0].id).await.progress, 0.0);
        assert_eq!(jobs.held(&[first.id, Uuid::new_v4()], 400).await.unwrap(), [true, false]);

        let left = artifact(first, 1000);
        let endings = vec![
            (first.id, done("x.zip", vec![left.clone()])),
            (second.id, Ending::Faulted { failure: "no such thing".to_owned() }),
            (rest[0].id, done("not mine", vec![artifact(&rest[0], 1000)])),
        ];
        assert_eq!(jobs.finish(1, endings, 400).await.unwrap(), [true, true, false]);
        let first = state(&jobs, first.id).await;
        assert_eq!(
            (first.state, first.result.as_deref(), first.progress),
            (JobState::Succeeded, Some("x.zip"), 1.0)
        );
        assert_eq!((first.started_at_ms, first.finished_at_ms), (Some(200), Some(400)));
        let second = state(&jobs, second.id).await;
        assert_eq!((second.state, second.failure.as_deref()), (JobState::Faulted, Some("no such thing")));
        assert_eq!(jobs.artifacts(&[left.id, Uuid::new_v4()]).await.unwrap(), [left]);
        assert_eq!(state(&jobs, rest[0].id).await.state, JobState::Running);

        // It ends once.
        let again = vec![(first.id, Ending::Canceled)];
        assert_eq!(jobs.finish(1, again, 500).await.unwrap(), [false]);
        assert_eq!(jobs.cancel(first.id, 500).await.unwrap().unwrap(), first);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_dies_is_succeeded_by_another() {
    for test in both().await {
        let jobs = test.open().await.jobs();
        let id = jobs.insert(vec![job("ann")], 0).await.unwrap()[0].id;
        claim(&jobs, 1, 1, 0).await;
        assert_eq!(claim(&jobs, 2, 1, 10_000).await, [], "the lease has not ended");
        let taken = claim(&jobs, 2, 1, 10_001).await;
        assert_eq!((taken[0].id, taken[0].attempt, taken[0].started_at_ms), (id, 2, Some(0)));

        // The first one was only slow: what it does now is for nothing.
        let beat = Beat { id, progress: 1.0, activity: String::new() };
        assert_eq!(jobs.renew(1, vec![beat.clone()], LEASE, 10_002).await.unwrap(), [Hold::Lost]);
        assert_eq!(jobs.finish(1, vec![(id, done("late", vec![]))], 10_002).await.unwrap(), [false]);
        assert_eq!(jobs.renew(2, vec![beat], LEASE, 15_000).await.unwrap(), [Hold::Held]);
        assert_eq!(claim(&jobs, 3, 1, 24_000).await, [], "renewed");

        // Two attempts it had.
        assert_eq!(claim(&jobs, 3, 1, 30_000).await, []);
        let dead = state(&jobs, id).await;
        assert_eq!(dead.state, JobState::Faulted);
        let failure = dead.failure.unwrap();
        assert!(failure.starts_with("2 times the process that did it has ended"), "{failure}");
        assert_eq!(jobs.finish(2, vec![(id, done("late", vec![]))], 30_001).await.unwrap(), [false]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling() {
    for test in both().await {
        let jobs = test.open().await.jobs();
        assert_eq!(jobs.cancel(Uuid::new_v4(), 0).await.unwrap(), None);
        let asked = jobs.insert(vec![job("ann"), job("ann"), job("ann")], 0).await.unwrap();
        let running = claim(&jobs, 1, 1, 0).await[0].id;
        let waiting: Vec<Uuid> = asked.iter().map(|job| job.id).filter(|&id| id != running).collect();
        assert_eq!(jobs.cancel(waiting[0], 1).await.unwrap().unwrap().state, JobState::Canceled);
        let now = jobs.cancel(running, 1).await.unwrap().unwrap();
        assert_eq!((now.state, now.cancel_requested), (JobState::Running, true));
        let beat = Beat { id: running, progress: 0.0, activity: String::new() };
        assert_eq!(jobs.renew(1, vec![beat], LEASE, 2).await.unwrap(), [Hold::Cancel]);
        jobs.finish(1, vec![(running, Ending::Canceled)], 3).await.unwrap();
        assert_eq!(state(&jobs, running).await.state, JobState::Canceled);

        // Whoever should have heard of it is gone: the next one does not begin it again.
        let running = claim(&jobs, 1, 1, 10).await[0].id;
        jobs.cancel(running, 11).await.unwrap();
        assert_eq!(claim(&jobs, 2, 9, 20_000).await, []);
        assert_eq!(state(&jobs, running).await.state, JobState::Canceled);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_go_back_to_the_queue() {
    for test in both().await {
        let jobs = test.open().await.jobs();
        let id = jobs.insert(vec![job("ann")], 0).await.unwrap()[0].id;
        for holder in 1..5 {
            // As often as one likes: a shutdown is no attempt.
            assert_eq!(claim(&jobs, holder, 1, 10).await[0].attempt, 1);
            jobs.finish(holder, vec![(id, Ending::Released)], 10).await.unwrap();
        }
        let again =
            |failure: &str| Ending::Again { failure: failure.to_owned(), after: Duration::from_millis(100) };
        claim(&jobs, 1, 1, 10).await;
        jobs.finish(1, vec![(id, again("the disk is full"))], 10).await.unwrap();
        assert_eq!(claim(&jobs, 1, 1, 109).await, []);
        assert_eq!(state(&jobs, id).await.failure.as_deref(), Some("the disk is full"));
        assert_eq!(claim(&jobs, 1, 1, 110).await[0].attempt, 2);
        jobs.finish(1, vec![(id, again("still full"))], 120).await.unwrap();
        let now = state(&jobs, id).await;
        assert_eq!((now.state, now.failure.as_deref()), (JobState::Faulted, Some("still full")));

        let id = jobs.insert(vec![job("ann")], 200).await.unwrap()[0].id;
        claim(&jobs, 1, 1, 200).await;
        jobs.cancel(id, 200).await.unwrap();
        jobs.finish(1, vec![(id, Ending::Released)], 200).await.unwrap();
        assert_eq!(state(&jobs, id).await.state, JobState::Canceled);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reserved_job_waits_for_its_holder_while_he_lives() {
    for test in both().await {
        let jobs = test.open().await.jobs();
        let reserved = Some(Reservation { holder: 1, lease: LEASE });
        let id = jobs.insert(vec![NewJob { reserved, ..job("ann") }], 0).await.unwrap()[0].id;
        assert_eq!(claim(&jobs, 2, 9, 10_000).await, []);
        let beat = Beat { id, progress: 0.0, activity: String::new() };
        assert_eq!(jobs.renew(2, vec![beat.clone()], LEASE, 10_000).await.unwrap(), [Hold::Lost]);
        assert_eq!(jobs.renew(1, vec![beat.clone()], LEASE, 10_000).await.unwrap(), [Hold::Held]);
        assert_eq!(claim(&jobs, 2, 9, 20_000).await, [], "renewed");
        assert_eq!(claim(&jobs, 1, 9, 20_000).await.len(), 1);

        // What failed in passing stays with him.
        let again = Ending::Again { failure: "in use".to_owned(), after: Duration::from_millis(100) };
        jobs.finish(1, vec![(id, again)], 21_000).await.unwrap();
        assert_eq!(claim(&jobs, 2, 9, 25_000).await, []);
        assert_eq!(jobs.renew(1, vec![beat.clone()], LEASE, 25_000).await.unwrap(), [Hold::Held]);
        assert_eq!(claim(&jobs, 1, 9, 25_000).await.len(), 1);

        // Who goes home, or dies, leaves it to others.
        jobs.finish(1, vec![(id, Ending::Released)], 26_000).await.unwrap();
        assert_eq!(claim(&jobs, 2, 9, 26_000).await.len(), 1);
        assert_eq!(jobs.renew(1, vec![beat.clone()], LEASE, 26_000).await.unwrap(), [Hold::Lost]);
        let id = jobs.insert(vec![NewJob { reserved, ..job("ann") }], 30_000).await.unwrap()[0].id;
        assert_eq!(claim(&jobs, 2, 9, 40_000).await, []);
        assert_eq!(claim(&jobs, 2, 9, 40_001).await[0].id, id);

        // Cancelled while it waits, there is nothing to wait for.
        let id = jobs.insert(vec![NewJob { reserved, ..job("ann") }], 50_000).await.unwrap()[0].id;
        assert_eq!(jobs.cancel(id, 50_001).await.unwrap().unwrap().state, JobState::Canceled);
        assert_eq!(jobs.renew(1, vec![Beat { id, ..beat }], LEASE, 50_002).await.unwrap(), [Hold::Lost]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_by_owner_and_page() {
    for test in both().await {
        let jobs = test.open().await.jobs();
        assert_eq!(jobs.list(None, None, 9).await.unwrap(), []);
        for now_ms in 0..4 {
            jobs.insert(vec![job("ann"), job("ann"), job("bob")], now_ms).await.unwrap();
        }
        let mut all: Vec<Job> = Vec::new();
        loop {
            let page = jobs.list(Some("ann"), all.last(), 3).await.unwrap();
            if page.is_empty() {
                break;
            }
            all.extend(page);
        }
        assert_eq!(all.len(), 8);
        assert!(all.iter().all(|job| job.owner == "ann"));
        assert!(all.is_sorted_by_key(|job| std::cmp::Reverse((job.created_at_ms, job.id))));
        assert_eq!(jobs.list(None, None, 99).await.unwrap().len(), 12);
        // Kinds that nobody here knows stay where they are.
        assert_eq!(jobs.claim(1, &["compact"], 9, LEASE, 9).await.unwrap(), []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_old_goes() {
    for test in both().await {
        let jobs = test.open().await.jobs();
        let asked = jobs.insert(vec![job("ann"), job("ann"), job("ann")], 0).await.unwrap();
        let claimed = claim(&jobs, 1, 2, 0).await;
        let left = artifact(&claimed[0], 1000);
        let endings =
            vec![(claimed[0].id, done("x.zip", vec![left.clone()])), (claimed[1].id, done("", vec![]))];
        jobs.finish(1, endings, 10).await.unwrap();
        assert_eq!(jobs.remove_expired(9, 1000).await.unwrap(), []);
        assert_eq!(jobs.remove_ended(10, 9).await.unwrap(), 0);
        // The one with an artifact stays as long as that.
        assert_eq!(jobs.remove_ended(11, 9).await.unwrap(), 1);
        assert_eq!(jobs.remove_expired(9, 1001).await.unwrap(), std::slice::from_ref(&left));
        assert_eq!(jobs.artifacts(&[left.id]).await.unwrap(), []);
        assert_eq!(jobs.remove_ended(11, 9).await.unwrap(), 1);
        let waiting = jobs.list(None, None, 9).await.unwrap();
        assert_eq!(waiting.len(), 1);
        assert!(asked.iter().any(|job| job.id == waiting[0].id));
    }
}

/// A worker that takes jobs and ends them, a few at a time, until there are none left.
async fn work(database: &Database, holder: i64) {
    let jobs = database.jobs();
    loop {
        let claimed = claim(&jobs, holder, 7, 1000).await;
        if claimed.is_empty() {
            return;
        }
        let endings = claimed.iter().map(|job| (job.id, done(&holder.to_string(), vec![])));
        let held = jobs.finish(holder, endings.collect(), 1000).await.unwrap();
        assert!(held.into_iter().all(|held| held));
    }
}

const CHILD: &str = "SHEAF_DB_TEST_WORKER";

/// Not a test of its own: what the processes of the next one do.
#[tokio::test]
async fn worker_process() {
    if let Ok(url) = std::env::var(CHILD) {
        work(&Database::connect(&url).await.unwrap(), i64::from(std::process::id())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_share_the_queue() {
    for test in both().await {
        let jobs = test.open().await.jobs();
        let asked = jobs.insert((0..300).map(|_| job("ann")).collect(), 0).await.unwrap();
        let workers: Vec<_> = (0..2)
            .map(|_| {
                Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "integration::jobs::worker_process"])
                    .env(CHILD, test.url())
                    .stdout(Stdio::null())
                    .spawn()
                    .unwrap()
            })
            .collect();
        for mut worker in workers {
            assert!(worker.wait().unwrap().success());
        }
        for job in &asked {
            let now = state(&jobs, job.id).await;
            assert_eq!((now.state, now.attempt), (JobState::Succeeded, 1));
        }
    }
}

/// Killed at any moment, a worker leaves jobs that others end, each once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_is_made_up_for() {
    for wait_ms in [40, 80, 120] {
        let test = TestDatabase::sqlite();
        let database = test.open().await;
        let jobs = database.jobs();
        let asked = jobs.insert((0..400).map(|_| job("ann")).collect(), 0).await.unwrap();
        let mut worker = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "integration::jobs::worker_process"])
            .env(CHILD, test.url())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        worker.kill().unwrap();
        worker.wait().unwrap();
        let open = jobs.open().await.unwrap();
        let running = open.iter().filter(|(_, state, _)| *state == JobState::Running);
        let running: u64 = running.map(|(.., count)| count).sum();
        // Its leases have ended by then.
        let late = 100_000;
        let mut ended = 0;
        loop {
            let claimed = claim(&jobs, 5, 50, late).await;
            if claimed.is_empty() {
                break;
            }
            let endings = claimed.iter().map(|job| (job.id, done("5", vec![]))).collect();
            assert!(jobs.finish(5, endings, late).await.unwrap().into_iter().all(|held| held));
            ended += claimed.len() as u64;
        }
        assert!(ended >= running);
        for job in &asked {
            let now = state(&jobs, job.id).await;
            assert_eq!(now.state, JobState::Succeeded);
            assert_eq!(
                now.attempt > 1,
                now.result.as_deref() == Some("5") && now.started_at_ms == Some(1000)
            );
        }
    }
}

/// A hundred thousand jobs go through in batches.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes half a minute"]
async fn many_jobs() {
    for test in both().await {
        let jobs = test.open().await.jobs();
        let begun = std::time::Instant::now();
        jobs.insert((0..100_000).map(|_| job("ann")).collect(), 0).await.unwrap();
        let inserted = begun.elapsed();
        loop {
            let claimed = claim(&jobs, 1, 1000, 1).await;
            if claimed.is_empty() {
                break;
            }
            let endings = claimed.iter().map(|job| (job.id, done("", vec![]))).collect();
            jobs.finish(1, endings, 2).await.unwrap();
        }
        println!("{}: inserted in {inserted:?}, all in {:?}", test.url(), begun.elapsed());
        assert_eq!(jobs.open().await.unwrap(), []);
    }
}
