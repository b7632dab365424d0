//! Who may do what, as programs and browsers find out over HTTP.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sheaf_db::{CatalogMetadata, Database};

use crate::http::{Answer, Server, encoded, sheaf_in};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs a command beside the server that must succeed, and returns what it prints.
fn run(server: &Server, args: &[&str]) -> String {
    let output = server.sheaf(args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// As [`run`], with something on standard input.
fn run_with(server: &Server, args: &[&str], input: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sheaf"))
        .args(args)
        .arg("--data-dir")
        .arg(server.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{args:?}");
    text(&output.stdout)
}

/// A token of a user of its own.
fn token(server: &Server, name: &str, rights: &[&str]) -> String {
    let printed = run(server, &[&["token", "create", "--name", name], rights].concat());
    printed.lines().next_back().unwrap().to_owned()
}

/// The token that the server printed at its first start.
fn first_token(server: &Server) -> Option<String> {
    server.log().lines().find(|line| line.starts_with("sheaf_")).map(str::to_owned)
}

fn me(server: &Server, token: &str) -> Answer {
    server.get("/api/v1/users/me").token(token).send()
}

#[test]
fn the_first_start_prints_a_token_for_everything_once() {
    let mut server = Server::start(&[]);
    let token = first_token(&server).expect("a token");
    let answer = me(&server, &token);
    assert_eq!(answer.status, 200, "{answer}");
    let me = answer.json();
    assert_eq!((&me["userId"], &me["name"]), (&json!("admin@cli"), &json!("admin")));
    assert_eq!((&me["isAdmin"], &me["user"]["name"]), (&json!(true), &json!("admin")));
    assert_eq!(me["claims"][0], json!({"type": "role", "value": "Administrator"}));
    assert_eq!(me["refreshTokens"].as_object().unwrap().len(), 1);
    assert!(server.stop().success());
    server.restart();
    assert_eq!(server.log().matches("sheaf_").count(), 1, "{}", server.log());
    assert_eq!(self::me(&server, &token).status, 200);

    // Where there is somebody already, nothing is printed.
    let folder = tempfile::tempdir().unwrap();
    assert!(sheaf_in(folder.path(), &["user", "add", "ann"]).status.success());
    let server = Server::start_in(folder, &[]);
    assert_eq!(first_token(&server), None);
}

#[test]
fn tokens_made_and_revoked_beside_a_server_count_at_once() {
    let server = Server::start(&[]);
    for round in 0..5 {
        let name = format!("lab{round}");
        let secret = token(&server, &name, &["--read", "/plant(/.*)?"]);
        let answer = me(&server, &secret);
        assert_eq!((answer.status, &answer.json()["userId"]), (200, &json!(format!("{name}@cli"))));
        run(&server, &["token", "revoke", &name]);
        let answer = me(&server, &secret);
        assert_eq!(answer.status, 401, "{answer}");
        assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer error=\"invalid_token\""));
    }
    // What a user may is up to date, too.
    let secret = token(&server, "lab", &["--read", "/plant"]);
    let claims = || me(&server, &secret).json()["claims"].as_array().unwrap().len();
    assert_eq!(claims(), 2);
    run(&server, &["user", "grant", "lab@cli", "--write", "/plant", "--read", "/x"]);
    assert_eq!(claims(), 4);
    run(&server, &["user", "revoke", "lab@cli", "--read", "/x"]);
    assert_eq!(claims(), 3);
    run(&server, &["user", "remove", "lab@cli"]);
    assert_eq!(me(&server, &secret).status, 401);
}

#[test]
fn commands_say_what_they_did_and_what_is_wrong() {
    let server = Server::start(&[]);
    let created = run(&server, &["token", "create", "--name", "a", "--admin", "--expires", "90 d", "--json"]);
    let created: Value = serde_json::from_str(&created).unwrap();
    assert_eq!((&created["user"], &created["name"]), (&json!("a@cli"), &json!("a")));
    assert_eq!(me(&server, created["token"].as_str().unwrap()).status, 200);
    let listed = run(&server, &["token", "list", "--json"]);
    let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0]["id"], created["id"]);
    assert!(listed.iter().all(|token| token.get("token").is_none()));
    assert!(run(&server, &["token", "list"]).contains("everything"));

    let fails = |args: &[&str], reason: &str| {
        let output = server.sheaf(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let error = text(&output.stderr);
        assert!(error.contains(reason), "{args:?}: {error}");
    };
    fails(&["token", "create", "--name", "b", "--read", "/A/(?=B)"], "look-around");
    fails(&["token", "create", "--name", "b", "--read", "("], "the pattern `(`");
    fails(&["token", "create", "--name", "b", "--user", "nobody"], "there is no user `nobody`");
    fails(&["token", "create", "--name", "b", "--expires", "2001-01-01"], "has passed");
    fails(&["token", "revoke", "b"], "there is no token `b`");
    fails(&["user", "add", "ann@corp"], "is no id for a user");
    fails(&["user", "grant", "nobody", "--admin"], "there is no user `nobody`");
    fails(&["user", "grant", "a@cli"], "say what");
    fails(&["user", "revoke", "a@cli", "--read", "/x"], "everything");
    token(&server, "a", &[]);
    fails(&["token", "revoke", "a"], "several tokens `a`");
    run(&server, &["token", "revoke", created["id"].as_str().unwrap()]);
    for command in ["token", "user"] {
        let help = run(&server, &[command, "--help"]);
        assert!(help.contains("Example"), "{help}");
    }
}

#[test]
fn commands_find_the_data_that_the_settings_file_names() {
    let server = Server::start(&[]);
    let elsewhere = tempfile::tempdir().unwrap();
    let config = elsewhere.path().join("sheaf.toml");
    std::fs::write(&config, format!("data_dir = {:?}\n", server.folder())).unwrap();
    let sheaf = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sheaf"));
        let output = command.args(args).env_remove("SHEAF_DATA_DIR").output().unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let config = config.to_str().unwrap();
    let (code, printed, _) = sheaf(&["token", "create", "--name", "a", "--config", config]);
    assert_eq!((code, me(&server, printed.lines().next_back().unwrap()).status), (Some(0), 200));
    // A flag comes before the file; one that is wrong is named.
    let folder = elsewhere.path().to_str().unwrap();
    let (code, _, error) = sheaf(&["token", "list", "--config", config, "--data-dir", folder]);
    assert!(code == Some(1) && error.contains("there is no store in"), "{error}");
    std::fs::write(config, "databas = 1\n").unwrap();
    let (code, _, error) = sheaf(&["token", "list", "--data-dir", folder]);
    assert!(code == Some(1) && error.contains("sheaf.toml") && error.contains("database"), "{error}");
}

#[test]
fn whatever_is_no_token_is_refused() {
    let server = Server::start(&["--auth-anonymous-read", "/demo/.*"]);
    for header in
        ["Bearer", "Bearer ", "Basic YTpi", "Bearer a b", "Bearer %2e%2e", "nonsense", "Bearer sheaf_x", ""]
    {
        let answer = server.get("/api/v1/users/me").header("authorization", header).send();
        assert_eq!(answer.status, 401, "{header}: {answer}");
        assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"), "{answer}");
    }
    assert_eq!(server.get("/api/v1/users/me").send().status, 401);
    let secret = token(&server, "a", &[]);
    let any_case =
        server.get("/api/v1/users/me").header("authorization", &format!("bEaReR  {secret}")).send();
    assert_eq!(any_case.status, 200);
    // A token that expires.
    let created = server
        .post("/api/v1/users/tokens/create")
        .token(&token(&server, "b", &["--admin"]))
        .json(&json!({"description": "short", "expires": soon(1), "claims": []}))
        .send();
    assert_eq!(created.status, 200, "{created}");
    let secret: String = serde_json::from_slice(&created.body).unwrap();
    assert_eq!(me(&server, &secret).status, 200);
    std::thread::sleep(std::time::Duration::from_millis(2500));
    let expired = me(&server, &secret);
    assert_eq!(expired.status, 401);
    assert!(expired.header("www-authenticate").unwrap().contains("The token expired at 20"), "{expired}");
}

/// In some seconds, as clients write it.
fn soon(seconds: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let tick =
        sheaf_model::Tick::UNIX_EPOCH.checked_add((now.as_secs() + seconds) as i64 * 10_000_000 + 10_000_000);
    tick.unwrap().to_string()
}

#[test]
fn no_token_makes_itself_worth_more() {
    let server = Server::start(&[]);
    let admin = first_token(&server).unwrap();
    let create = |token: &str, query: &str, claims: Value| {
        let body = json!({"description": "made", "expires": "9999-12-31T23:59:59.9999999", "claims": claims});
        server.post(&format!("/api/v1/users/tokens/create{query}")).token(token).json(&body).send()
    };
    let read = |pattern: &str| json!({"type": "CanReadCatalog", "value": pattern});
    // What it has itself it may hand on, and no more.
    let narrow = token(&server, "lab", &["--read", "/a", "--read", "/b"]);
    assert_eq!(create(&narrow, "", json!([read("/a")])).status, 200);
    for claims in [json!([read("/a"), read("/c")]), json!([{"type": "role", "value": "Administrator"}])] {
        let answer = create(&narrow, "", claims);
        assert_eq!(answer.status, 403, "{answer}");
    }
    let generated = server.post("/api/v1/users/tokens/generate?description=x").token(&narrow).send();
    assert_eq!(generated.status, 200, "{generated}");
    run(&server, &["user", "grant", "lab@cli", "--read", "/c"]);
    let generated = server.post("/api/v1/users/tokens/generate?description=x").token(&narrow).send();
    assert_eq!(generated.status, 403, "{generated}");
    // Not for others.
    assert_eq!(create(&narrow, "?userId=admin%40cli", json!([])).status, 403);
    assert_eq!(create(&admin, "?userId=lab%40cli", json!([])).status, 200);
    assert_eq!(create(&admin, "?userId=nobody", json!([])).status, 404);
    // Claims that mean nothing are refused, and so is what has passed.
    for (claims, reason) in [
        (json!([read("/A/(?!B)")]), "look-around"),
        (json!([{"type": "CanFly", "value": "x"}]), "`CanFly` is no type of claim"),
        (json!([{"type": "role", "value": "Boss"}]), "`Boss` is no role"),
    ] {
        let answer = create(&admin, "", claims);
        assert!(answer.status == 422 && answer.text().contains(reason), "{answer}");
    }

    // Tokens are listed without secrets; each user has his own.
    let listed = server.get("/api/v1/users/tokens?").token(&narrow).send().json();
    let listed = listed.as_object().unwrap();
    assert_eq!(listed.len(), 4);
    let made: Vec<&String> =
        listed.iter().filter(|(_, token)| token["description"] == "made").map(|(id, _)| id).collect();
    assert_eq!(made.len(), 2);
    let one = &listed[made[0]];
    assert_eq!(one["expires"], "9999-12-31T23:59:59.9999999");
    assert!(one.get("grantClaims").is_some() && one.get("secret").is_none());
    let delete = |id: &str, token: &str| {
        server.delete(&format!("/api/v1/users/tokens/{id}")).token(token).send().status
    };
    assert_eq!(delete(made[0], &narrow), 403, "it revokes itself only");
    let other = token(&server, "other", &["--admin"]);
    run(&server, &["user", "revoke", "other@cli", "--admin"]);
    assert_eq!(delete(made[0], &other), 404, "another user's");
    assert_eq!(delete(made[0], &admin), 200);
    assert_eq!(delete(made[0], &admin), 404);
    assert_eq!(delete("nonsense", &admin), 400);
    let of_others = |token: &str| server.get("/api/v1/users/lab%40cli/tokens").token(token).send().status;
    assert_eq!((of_others(&admin), of_others(&narrow), of_others(&other)), (200, 200, 403));
    // Whoever has a token can revoke it by its value.
    let by_value = || server.delete(&format!("/api/v1/users/tokens/delete?value={narrow}")).send().status;
    assert_eq!((by_value(), by_value(), me(&server, &narrow).status), (200, 200, 401));
}

#[test]
fn clients_of_2023_sign_in() {
    let server = Server::start(&[]);
    let secret = token(&server, "old", &["--read", "/a"]);
    let refresh = |token: &str| {
        server.post("/api/v1/users/tokens/refresh").json(&json!({"refreshToken": token})).send()
    };
    assert_eq!(refresh(&secret).json(), json!({"accessToken": secret, "refreshToken": secret}));
    assert_eq!(refresh("wrong").status, 401);
    assert_eq!(server.get("/api/v1/users/authentication-schemes").send().json(), json!([]));
    let revoke = server.post("/api/v1/users/tokens/revoke").json(&json!({"refreshToken": secret})).send();
    assert_eq!(revoke.status, 200, "{revoke}");
    assert_eq!(refresh(&secret).status, 401);
}

#[test]
fn users_are_managed_by_administrators_only() {
    let server = Server::start(&[]);
    let admin = first_token(&server).unwrap();
    let plain = token(&server, "plain", &["--read", ".*", "--write", ".*"]);
    for (method, path) in [
        ("GET", "/api/v1/users"),
        ("POST", "/api/v1/users"),
        ("DELETE", "/api/v1/users/admin%40cli"),
        ("GET", "/api/v1/users/plain%40cli/claims"),
        ("POST", "/api/v1/users/plain%40cli/claims"),
        ("DELETE", "/api/v1/users/claims/00000000-0000-0000-0000-000000000000"),
        ("GET", "/api/v1/audit"),
    ] {
        let ask = |ask: crate::http::Ask<'_>| match method {
            "POST" => ask.json(&json!({"name": "x", "type": "role", "value": "Administrator"})).send().status,
            _ => ask.send().status,
        };
        assert_eq!(ask(server.ask(method, path)), 401, "{method} {path}");
        assert_eq!(ask(server.ask(method, path).token(&plain)), 403, "{method} {path}");
    }
    let as_admin = |method: &str, path: &str| server.ask(method, path).token(&admin);
    let created = as_admin("POST", "/api/v1/users").json(&json!({"name": "Ann", "claims": []})).send();
    assert_eq!((created.status, created.json()), (200, json!("Ann")));
    assert_eq!(as_admin("POST", "/api/v1/users").json(&json!({"name": "Ann"})).send().status, 422);
    assert_eq!(as_admin("POST", "/api/v1/users").json(&json!({"name": "a/b"})).send().status, 422);
    let claim = as_admin("POST", "/api/v1/users/Ann/claims")
        .json(&json!({"type": "CanReadCatalog", "value": "/plant(/.*)?"}))
        .send();
    assert_eq!(claim.status, 200, "{claim}");
    let id = claim.json();
    let claims = as_admin("GET", "/api/v1/users/Ann/claims").send().json();
    assert_eq!(claims[id.as_str().unwrap()]["value"], "/plant(/.*)?");
    let bad = as_admin("POST", "/api/v1/users/Ann/claims")
        .json(&json!({"type": "CanReadCatalog", "value": "(?<!a)b"}));
    let bad = bad.send();
    assert!(bad.status == 422 && bad.text().contains("look-around"), "{bad}");
    let users = as_admin("GET", "/api/v1/users").send().json();
    assert_eq!(users["Ann"]["claims"][0]["type"], "CanReadCatalog");
    let path = format!("/api/v1/users/claims/{}", id.as_str().unwrap());
    assert_eq!(as_admin("DELETE", &path).send().status, 200);
    assert_eq!(as_admin("DELETE", &path).send().status, 404);
    assert_eq!(as_admin("DELETE", "/api/v1/users/Ann").send().status, 200);
    assert_eq!(as_admin("DELETE", "/api/v1/users/Ann").send().status, 404);

    // All of it is on record.
    let page = as_admin("GET", "/api/v1/audit?limit=3").send().json();
    let actions: Vec<&str> =
        page.as_array().unwrap().iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["user.remove", "claim.remove", "claim.create"]);
    assert_eq!((&page[0]["user"], &page[0]["subject"]), (&json!("admin@cli"), &json!("Ann")));
    assert!(page[0]["request"].is_string() && page[0]["token"].is_string(), "{page}");
    let next = format!("/api/v1/audit?before={}&limit=1", page[2]["seq"]);
    assert_eq!(as_admin("GET", &next).send().json()[0]["action"], "user.create");
    assert_eq!(as_admin("GET", "/api/v1/audit?limit=0").send().status, 422);
    let all = as_admin("GET", "/api/v1/audit?limit=1000").send();
    assert!(!all.text().contains("sheaf_") && !all.text().contains("argon2"), "{all}");
}

/// The value of the cookie that an answer sets.
fn cookie(answer: &Answer) -> &str {
    answer.header("set-cookie").unwrap().split(';').next().unwrap()
}

#[test]
fn browsers_sign_in_with_a_password() {
    let server = Server::start(&[]);
    run_with(&server, &["user", "add", "ann", "--password", "--admin"], "correct horse\n");
    let sign_in = |name: &str, password: &str| {
        server.post("/api/v1/users/signin").json(&json!({"name": name, "password": password}))
    };
    for (name, password) in [("ann", "wrong"), ("nobody", "correct horse"), ("ann", "")] {
        let answer = sign_in(name, password).send();
        assert_eq!(answer.status, 401, "{answer}");
        assert_eq!(answer.text(), "there is no user with this id and password");
    }
    assert_eq!(sign_in("ann", "correct horse").header("origin", "https://evil.org").send().status, 403);
    let answer = sign_in("ann", "correct horse").send();
    assert_eq!((answer.status, &answer.json()["userId"]), (200, &json!("ann")), "{answer}");
    let set = answer.header("set-cookie").unwrap().to_owned();
    for part in ["sheaf_session=", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=2592000"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Secure"), "{set}");
    let cookie = cookie(&answer).to_owned();
    let by_cookie = |method: &str, path: &str| server.ask(method, path).header("cookie", &cookie);
    assert_eq!(by_cookie("GET", "/api/v1/users/me").send().json()["isAdmin"], true);
    let sessions = by_cookie("GET", "/api/v1/users/sessions").send().json();
    assert_eq!((sessions.as_array().unwrap().len(), &sessions[0]["isThis"]), (1, &json!(true)));

    // A page of another server has the cookie sent along, but may not change anything with it.
    let create =
        || by_cookie("POST", "/api/v1/users/tokens/create").json(&json!({"description": "x", "claims": []}));
    assert_eq!(create().send().status, 403);
    assert_eq!(create().header("origin", "https://evil.org").send().status, 403);
    assert_eq!(create().header("sec-fetch-site", "cross-site").send().status, 403);
    assert_eq!(create().header("origin", &format!("http://{}", server.address())).send().status, 200);
    assert_eq!(create().header("sec-fetch-site", "same-origin").send().status, 200);
    // The secret of a session is no token, and the other way round.
    let (_, secret) = cookie.split_once('=').unwrap();
    assert_eq!(me(&server, secret).status, 401);
    let token = first_token(&server).unwrap();
    let as_session =
        server.get("/api/v1/users/me").header("cookie", &format!("sheaf_session={token}")).send();
    assert_eq!(as_session.status, 401);

    // Out again: the cookie is worth nothing, wherever it still is.
    let out = by_cookie("POST", "/api/v1/users/signout").header("sec-fetch-site", "same-origin").send();
    assert_eq!(out.status, 204, "{out}");
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"), "{out}");
    assert_eq!(by_cookie("GET", "/api/v1/users/me").send().status, 401);
    let away = server.post("/api/v1/users/signout?returnUrl=%2F%2Fevil.org").accept("text/html").send();
    assert_eq!((away.status, away.header("location")), (303, Some("/")));

    // Another password ends all sessions.
    let answer = sign_in("ann", "correct horse").send();
    let old = self::cookie(&answer).to_owned();
    run_with(&server, &["user", "password", "ann"], "battery staple\n");
    assert_eq!(server.get("/api/v1/users/me").header("cookie", &old).send().status, 401);
    assert_eq!(sign_in("ann", "correct horse").send().status, 401);
    assert_eq!(sign_in("ann", "battery staple").send().status, 200);

    // Guessing has a pause.
    let statuses: Vec<u16> = (0..12).map(|_| sign_in("ann", "guess").send().status).collect();
    assert_eq!((statuses[0], statuses[11]), (401, 429), "{statuses:?}");
    let refused = sign_in("ann", "battery staple").send();
    assert!(refused.status == 429 && refused.header("retry-after").is_some(), "{refused}");
    let record = server.get("/api/v1/audit?limit=100").token(&token).send().text().to_owned();
    assert!(record.contains("\"outcome\":\"refused\"") && !record.contains("battery"), "{record}");
}

#[test]
fn behind_a_proxy_who_guesses_locks_out_nobody_else() {
    let server = Server::start(&["--server-trusted-proxies", "127.0.0.0/8"]);
    run_with(&server, &["user", "add", "ann", "--password"], "correct horse\n");
    let sign_in = |name: &str, password: &str, from: &str| {
        let body = json!({"name": name, "password": password});
        server.post("/api/v1/users/signin").json(&body).header("x-forwarded-for", from).send()
    };
    // What comes before the last address anybody can write.
    for number in 0..10 {
        let guess = sign_in("ann", "guess", &format!("198.51.100.{number}, 203.0.113.7"));
        assert_eq!(guess.status, 401, "{guess}");
    }
    assert_eq!(sign_in("ann", "correct horse", "203.0.113.7").status, 429);
    assert_eq!(sign_in("ann", "correct horse", "203.0.113.8").status, 200);
    let token = first_token(&server).unwrap();
    let record = server.get("/api/v1/audit?limit=2").token(&token).send().json();
    let addresses = (&record[0]["detail"]["address"], &record[1]["detail"]["address"]);
    assert_eq!(addresses, (&json!("203.0.113.8"), &json!("203.0.113.7")));
    assert!(server.log().contains("client=203.0.113.7"), "{}", server.log());

    // A proxy that nobody has named is a client like others.
    let server = Server::start(&[]);
    let body = json!({"name": "ann", "password": "x"});
    server.post("/api/v1/users/signin").json(&body).header("x-forwarded-for", "203.0.113.7").send();
    let record = server.get("/api/v1/audit?limit=1").token(&first_token(&server).unwrap()).send().json();
    assert_eq!(record[0]["detail"]["address"], "127.0.0.1");
}

#[test]
fn a_licence_is_accepted_on_purpose_and_text_by_text() {
    let server = Server::start(&[]);
    let secret = token(&server, "reader", &["--read", "/nothing"]);
    ingest(&server, "/plant/mast");
    let (catalog, path) = (encoded("/plant/mast"), "/api/v1/series?resourcePath=%2Fplant%2Fmast%2FT1%2F1_s");
    let read = || server.get(path).token(&secret).send().status;
    assert_eq!(read(), 403);
    set_license(&server, "/plant/mast", "CC0");
    let accept = |id: &str| {
        let path = format!("/api/v1/catalogs/{}/accept-license", encoded(id));
        server.post(&path).token(&secret).send()
    };
    assert_eq!(accept("/plant/mast").status, 204);
    assert_eq!(accept("/plant/mast").status, 204);
    assert_eq!(accept("/plant").status, 404);
    for id in [".*", "/plant/.*", "/", "/plant/mast\n"] {
        assert_eq!(accept(id).status, 422, "{id:?}");
    }
    assert_eq!(server.post(&format!("/api/v1/catalogs/{catalog}/accept-license")).send().status, 401);
    // It opens the catalog to the user, but a token is for what it names.
    assert_eq!(read(), 403);
    let secret = token(&server, "wide", &["--user", "reader@cli", "--read", "/plant/mast"]);
    let read = || server.get(path).token(&secret).send().status;
    assert_eq!(read(), 200);
    set_license(&server, "/plant/mast", "CC-BY");
    assert_eq!(read(), 403, "another text");
    let accepted = server.post(&format!("/api/v1/catalogs/{catalog}/accept-license")).token(&secret).send();
    assert_eq!((accepted.status, read()), (204, 200));
    for catalog in ["%2Fplant%2Fmast", ".*"] {
        let old =
            server.get(&format!("/api/v1/users/accept-license?catalogId={catalog}")).token(&secret).send();
        assert_eq!(old.status, 405, "{old}");
        assert!(old.text().contains("POST /api/v1/catalogs/"), "{old}");
    }
    let record = server.get("/api/v1/audit?limit=100").token(&first_token(&server).unwrap()).send().json();
    let accepted = record.as_array().unwrap().iter().filter(|event| event["action"] == "license.accept");
    assert_eq!(accepted.count(), 2, "{record}");
}

fn set_license(server: &Server, catalog: &str, license: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let database = Database::sqlite(&server.folder().join("sheaf.db")).await.unwrap();
        let properties = serde_json::from_value(json!({"license": license})).unwrap();
        let catalog = CatalogMetadata { catalog: catalog.parse().unwrap(), properties };
        database.metadata().set_catalog(catalog).await.unwrap();
        database.close().await;
    });
}

#[test]
fn providers_are_named_in_the_settings_and_fail_with_their_name() {
    let folder = tempfile::tempdir().unwrap();
    let settings = r#"
        [[auth.oidc]]
        scheme = "corp"
        name = "The company"
        issuer = "http://127.0.0.1:9"
        client_id = "sheaf"
    "#;
    std::fs::write(folder.path().join("sheaf.toml"), settings).unwrap();
    let server = Server::start_in(folder, &[]);
    let schemes = server.get("/api/v1/users/authentication-schemes").send().json();
    assert_eq!(schemes, json!([{"scheme": "corp", "displayName": "The company"}]));
    let failed = server.get("/api/v1/users/authenticate?scheme=corp").send();
    assert!(failed.status == 502 && failed.text().contains("`corp`"), "{failed}");
    assert_eq!(server.post("/api/v1/users/authenticate?scheme=other").send().status, 404);
    let answer = server.get("/signin-oidc/corp?state=x&code=y").send();
    assert!(answer.status == 401 && answer.text().contains("has begun no such sign-in"), "{answer}");
    let answer = server.get("/signin-oidc/corp?state=x&code=y").header("cookie", "sheaf_login=x").send();
    assert_eq!(answer.status, 401, "{answer}");
}

/// Makes a catalog with two samples of a resource T1.
fn ingest(server: &Server, catalog: &str) {
    let table = server.folder().join("T1.csv");
    std::fs::write(&table, "time,T1\n2020-01-01T00:00:00Z,1\n2020-01-01T00:00:01Z,2\n").unwrap();
    run(server, &["ingest", "--catalog", catalog, table.to_str().unwrap()]);
}

#[test]
fn what_is_deleted_is_on_record() {
    let server = Server::start(&[]);
    ingest(&server, "/plant/mast");
    let writer = token(&server, "writer", &["--write", "/plant/mast"]);
    let path = "/api/v1/series?path=%2Fplant%2Fmast%2FT1%2F1_s&all=true";
    let deleted = server.delete(path).token(&writer).send();
    assert_eq!(deleted.status, 200, "{deleted}");
    let record = server.get("/api/v1/audit?limit=1").token(&first_token(&server).unwrap()).send().json();
    assert_eq!((&record[0]["action"], &record[0]["user"]), (&json!("series.delete"), &json!("writer@cli")));
    assert_eq!(record[0]["subject"], "/plant/mast/T1/1_s");
    assert_eq!(record[0]["detail"]["commit"], deleted.json()["commit"]);

    // On the command line, too.
    let range = ["--begin", "2020-01-01", "--end", "2020-01-02"];
    run(&server, &[&["delete", "/plant/mast/T1/1_s"], &range[..]].concat());
    run(&server, &["compact", "--all"]);
    let record = server.get("/api/v1/audit?limit=2").token(&first_token(&server).unwrap()).send().json();
    assert_eq!(
        (&record[0]["action"], &record[0]["detail"]),
        (&json!("store.compact"), &json!({"all": true}))
    );
    assert_eq!((&record[1]["action"], &record[1]["user"]), (&json!("series.delete"), &Value::Null));
    assert_eq!(record[1]["detail"]["begin"], "2020-01-01T00:00:00Z");
}

/// Whether a token may read a catalog, and change it: what is not there is not found by those who may.
fn may(server: &Server, token: &str, catalog: &str) -> (bool, bool) {
    let path = format!("/api/v1/catalogs/{}", encoded(catalog));
    let allowed = |answer: Answer| match answer.status {
        401 | 403 => false,
        200 | 404 | 422 => true,
        _ => panic!("{answer}"),
    };
    let read = allowed(server.get(&path).token(token).send());
    // Refused for what it says, but only once it is clear that the caller may.
    let metadata = json!({"contact": null, "groupMemberships": null, "overrides": {"id": "/elsewhere"}});
    let write = allowed(server.put(&format!("{path}/metadata")).token(token).json(&metadata).send());
    (read, write)
}

/// What a user may, what the token is for, and whether it reads and writes.
type Case = (&'static [&'static str], &'static [&'static str], (bool, bool));

#[test]
fn the_matrix_of_rights_holds_over_http() {
    let server = Server::start(&[]);
    ingest(&server, "/A/B/C");
    let (reads, all, nothing) = ((true, false), (true, true), (false, false));
    // What the user may, what the token is for, and what comes of it for `/A/B/C` of group `A`.
    let cases: &[Case] = &[
        (&["--admin"], &["--admin"], all),
        (&["--admin"], &[], nothing),
        (&["--admin"], &["--read", "/A/B/C"], reads),
        (&["--admin"], &["--write", "/A/B/C"], all),
        (&[], &["--admin"], nothing),
        (&[], &["--read", ".*", "--write", ".*"], nothing),
        (&["--read", "/A/B/C"], &["--admin"], reads),
        (&["--read", "/D", "--read", "/A/B/C"], &["--read", ".*"], reads),
        (&["--read", "^/A/B/.*"], &["--read", "/A/B/C"], reads),
        (&["--read", "/A/B/.*"], &["--write", "/A/B/.*"], reads),
        (&["--write", "/A/B/.*"], &["--read", "/A/B/C"], reads),
        (&["--write", "/A/B/.*"], &["--write", "/A/B/C"], all),
        (&["--read-group", "A"], &["--read", ".*"], reads),
        (&["--write-group", "A"], &["--write-group", "A"], all),
        (&["--read-group", "A2"], &["--read", ".*"], nothing),
        (&["--read", "/A/B/C2"], &["--read", ".*"], nothing),
        (&["--read", "/D/E/.*"], &["--read", "/A/B/C"], nothing),
        (&["--read", "/A/B/C"], &["--read", "/A/B/"], nothing),
        // What would do in Nexus, by chance.
        (&["--read", "/A/B"], &["--read", ".*"], nothing),
        (&["--read", "B"], &["--read", ".*"], nothing),
        (&["--read", "B/C"], &["--read", ".*"], nothing),
        (&["--read", "/A/B/C|/D"], &["--read", "/A/B/C|"], reads),
        (&["--read", "(?m)^/A/B/C$"], &["--read", ".*"], reads),
    ];
    let groups = json!({"contact": null, "groupMemberships": ["A"], "overrides": {"id": "/A/B/C"}});
    let admin = first_token(&server).unwrap();
    let path = format!("/api/v1/catalogs/{}/metadata", encoded("/A/B/C"));
    let set = server.put(&path).token(&admin).json(&groups).send();
    assert_eq!(set.status, 200, "{set}");
    for (number, (user, token, expected)) in cases.iter().enumerate() {
        let id = format!("user{number}");
        run(&server, &[&["user", "add", &id], *user].concat());
        let secret = self::token(&server, "t", &[&["--user", &id], *token].concat());
        assert_eq!(may(&server, &secret, "/A/B/C"), *expected, "{user:?} by {token:?}");
    }
    // Nobody at all.
    for path in ["/api/v1/catalogs/%2FA%2FB%2FC", "/api/v1/catalogs/%2FSAMPLE%2FLOCAL"] {
        assert_eq!(server.get(path).send().status, 401);
    }
    // The sample, for everybody who is signed in.
    let secret = token(&server, "nothing", &[]);
    assert_eq!(may(&server, &secret, "/SAMPLE/LOCAL"), reads);
    for other in ["/SAMPLE/LOCAL2", "/SAMPLE/LOCAL/X", "/SAMPLE", "/sample/local"] {
        assert_eq!(may(&server, &secret, other), nothing, "{other}");
    }
}

#[test]
fn no_way_of_writing_a_path_opens_more() {
    let server = Server::start(&["--auth-anonymous-read", "/open"]);
    let secret = token(&server, "lab", &["--read", "/A"]);
    let status = |segment: &str, token: Option<&str>| {
        let ask = server.get(&format!("/api/v1/catalogs/{segment}"));
        match token {
            Some(token) => ask.token(token).send().status,
            None => ask.send().status,
        }
    };
    // What may be read is not there; all else is refused, or is no catalog, or no route.
    assert_eq!(status("%2FA", Some(&secret)), 404);
    assert_eq!(status("%2fA", Some(&secret)), 404);
    assert_eq!(status("%2Fopen", None), 404);
    assert_eq!(status("%2FA", None), 401);
    for trick in [
        "%2FB",
        "%2FA%2FB",
        "%2FA%2F..%2FB",
        "%2FA%2F%2e%2e%2FB",
        "%2FA%2F..",
        "%2FA%2F",
        "%2F%2FA",
        "%2FA%00",
        "%2FA%0A",
        "%2FA%0A%2FB",
        "%252FA",
        "%2FA%252F",
        "%2FA%20",
        "%20%2FA",
        "%2FA%2B",
        "%2FA+",
        "%2Fa",
        "%EF%BC%8FA",
        "%2F%EF%BC%A1",
        "%2FA%CC%80",
        "%C0%AFA",
        "%2F.%2A",
        ".%2A",
        "%2FA%7C%2FB",
        "%5CA",
        "%2FA%3B%2FB",
        "%2FA%23",
        "%2FA%3F",
    ] {
        for token in [None, Some(secret.as_str())] {
            let status = status(trick, token);
            assert!([400, 401, 403, 404, 422].contains(&status), "{trick}: {status}");
            // Only ids that are none may be told so to whoever asks.
            assert!(status != 404 || !trick.starts_with("%2FB"), "{trick}");
        }
    }
    for path in [
        "/api/v1/catalogs/%2Fopen/../%2FB",
        "/api/v1/catalogs/%2Fopen/%2e%2e/%2FB",
        "/api/v1/catalogs/../users",
        "/api/v1/catalogs/%2e%2e/users/me",
        "/api/v1/catalogs//A",
        "/api/v1/users/%2e%2e/me",
        "/api/v1/users/me/../../audit",
    ] {
        let status = server.get(path).send().status;
        assert!([400, 401, 403, 404, 405, 422].contains(&status), "{path}: {status}");
    }
    let answer = server.raw(b"GET /api/v1/catalogs/\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}
