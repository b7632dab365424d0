//! `sheaf user`: who is known, and what each may do.

use std::error::Error;
use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use comfy_table::{Table, presets};
use serde_json::json;
use sheaf_db::{Access, Claim, Grant, NewEvent, NewUser, User};

use super::Outcome;
use super::data::{self, DataArgs};
use super::grant_args::{GrantArgs, text, texts};
use super::token::no_user;
use crate::http::auth::{first, passwords, tick_of_ms};

/// Users that are looked up at once.
const PAGE: usize = 500;

/// Add, list and remove users, and say what they may do
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sheaf user add ann --read '/plant(/.*)?' --password")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Add(AddArgs),
    /// List users and what they may do
    #[command(after_help = "Examples:\n  sheaf user list\n  sheaf user list --json")]
    List {
        #[command(flatten)]
        data: DataArgs,
        /// Print one JSON object for each user
        #[arg(long)]
        json: bool,
    },
    /// Give a user another password, which ends the user's sessions; it is asked for, or read from standard input
    #[command(
        after_help = "Examples:\n  sheaf user password ann\n  pass show sheaf/ann | sheaf user password ann"
    )]
    Password {
        #[command(flatten)]
        one: OneArgs,
        /// Take the password away: the user can't sign in with one any more
        #[arg(long)]
        remove: bool,
    },
    /// Remove a user with all tokens and sessions
    #[command(after_help = "Example:\n  sheaf user remove ann")]
    Remove {
        #[command(flatten)]
        one: OneArgs,
    },
    /// Let a user do more
    #[command(after_help = "Example:\n  sheaf user grant ann --write /plant/mast")]
    Grant {
        #[command(flatten)]
        one: OneArgs,
        #[command(flatten)]
        grants: GrantArgs,
    },
    /// Let a user do less; patterns are named as they were granted
    #[command(after_help = "Example:\n  sheaf user revoke ann --write /plant/mast")]
    Revoke {
        #[command(flatten)]
        one: OneArgs,
        #[command(flatten)]
        grants: GrantArgs,
    },
}

#[derive(clap::Args)]
struct OneArgs {
    /// The user's id
    #[arg(value_name = "USER")]
    user: String,
    #[command(flatten)]
    data: DataArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Add a user
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf user add ann --read '/plant(/.*)?' --password
  sheaf user add robot --write /plant/mast

Users who sign in with a provider (OpenID Connect) are added when they first do; then `sheaf user grant` says what they may.")]
struct AddArgs {
    #[command(flatten)]
    one: OneArgs,
    /// The user's name for people to read [default: the id]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Let the user sign in with a password, which is asked for, or read from standard input
    #[arg(long)]
    password: bool,
    #[command(flatten)]
    grants: GrantArgs,
}

pub(crate) fn run(args: &Args, out: &mut (impl Write + Send)) -> Outcome {
    match &args.command {
        Command::Add(args) => add(args, out),
        Command::List { data, json } => list(data, *json, out),
        Command::Password { one, remove } => {
            let hash = if *remove { None } else { Some(passwords::hash(&read_password()?)?) };
            change(one, out, async |access, event| {
                let is_there =
                    access.set_password(&one.user, hash, event("user.password", json!({}))).await?;
                Ok(is_there.then(|| "its sessions have ended".to_owned()))
            })
        }
        Command::Remove { one } => data::run(data::Unit::Count, async |_| {
            let access = one.data.existing().await?.1.access();
            let event = NewEvent::by_command("user.remove", one.user.as_str(), json!({}));
            if !access.remove_user(&one.user, event).await? {
                return Err(no_user(&one.user).into());
            }
            if one.json {
                writeln!(out, "{}", json!({"id": one.user}))?;
            } else {
                writeln!(out, "removed {} with all tokens and sessions", one.user)?;
            }
            Ok(ExitCode::SUCCESS)
        }),
        Command::Grant { one, grants } => {
            let grants = some(grants)?;
            change(one, out, async |access, event| {
                for grant in &grants {
                    let event = event("claim.create", json!({"claim": grant}));
                    if access.add_claim(&one.user, grant.clone(), event).await?.is_none() {
                        return Ok(None);
                    }
                }
                Ok(Some(String::new()))
            })
        }
        Command::Revoke { one, grants } => {
            let grants = some(grants)?;
            change(one, out, async |access, event| {
                let has = access.claims_of(&one.user).await?;
                for grant in &grants {
                    let Some(claim) = has.iter().find(|claim| claim.grant == *grant) else {
                        let grants = texts(has.iter().map(|claim| &claim.grant));
                        return Err(
                            format!("{} may not `{}` anyway, but: {grants}", one.user, text(grant)).into()
                        );
                    };
                    access.remove_claim(claim.id, event("claim.remove", json!({"claim": grant}))).await?;
                }
                Ok(Some(String::new()))
            })
        }
    }
}

fn add(args: &AddArgs, out: &mut (impl Write + Send)) -> Outcome {
    let id = &args.one.user;
    first::check_id(id)?;
    let grants = args.grants.grants()?;
    let password_hash = if args.password { Some(passwords::hash(&read_password()?)?) } else { None };
    data::run(data::Unit::Count, async |_| {
        let access = args.one.data.create().await?.database.access();
        let name = args.name.clone().unwrap_or_else(|| id.clone());
        let new = NewUser { id: id.clone(), name, scheme: None, password_hash };
        let event = NewEvent::by_command("user.create", id.as_str(), json!({"claims": grants}));
        let user = access.add_user(new, &grants, event).await?;
        show(&user, &access.claims_of(id).await?, args.one.json, out)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Changes a user, and shows what came of it. `None` if there is no such user.
fn change(
    one: &OneArgs,
    out: &mut (impl Write + Send),
    change: impl AsyncFnOnce(
        &Access,
        &dyn Fn(&str, serde_json::Value) -> NewEvent,
    ) -> Result<Option<String>, Box<dyn Error>>,
) -> Outcome {
    data::run(data::Unit::Count, async |_| {
        let access = one.data.existing().await?.1.access();
        let event = |action: &str, detail| NewEvent::by_command(action, one.user.as_str(), detail);
        let note = change(&access, &event).await?.ok_or_else(|| no_user(&one.user))?;
        let user = access.user(&one.user).await?.ok_or_else(|| no_user(&one.user))?;
        show(&user, &access.claims_of(&one.user).await?, one.json, out)?;
        if !note.is_empty() && !one.json {
            writeln!(out, "{note}")?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn some(grants: &GrantArgs) -> Result<Vec<Grant>, Box<dyn Error>> {
    let grants = grants.grants()?;
    if grants.is_empty() {
        return Err(
            "say what, with --admin, --read, --write, --read-group, --write-group or --use-locator".into()
        );
    }
    Ok(grants)
}

fn list(data: &DataArgs, json: bool, out: &mut (impl Write + Send)) -> Outcome {
    data::run(data::Unit::Count, async |_| {
        let access = data.existing().await?.1.access();
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_header(["USER", "NAME", "SIGNS IN WITH", "MAY"]);
        let mut after: Option<String> = None;
        loop {
            let page = access.users(after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id.clone());
            for user in &page {
                let claims = access.claims_of(&user.id).await?;
                if json {
                    show(user, &claims, true, out)?;
                } else {
                    let may = texts(claims.iter().map(|claim| &claim.grant));
                    table.add_row([&user.id, &user.name, signs_in_with(user), &may]);
                }
            }
        }
        if !json {
            writeln!(out, "{}", table.trim_fmt())?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn signs_in_with(user: &User) -> &str {
    match (&user.scheme, user.has_password) {
        (Some(scheme), _) => scheme,
        (None, true) => "password",
        (None, false) => "tokens",
    }
}

fn show(user: &User, claims: &[Claim], json: bool, out: &mut impl Write) -> io::Result<()> {
    if json {
        let object = json!({
            "id": user.id,
            "name": user.name,
            "provider": user.scheme,
            "hasPassword": user.has_password,
            "created": tick_of_ms(user.created_at_ms).to_string(),
            "claims": claims.iter().map(|claim| &claim.grant).collect::<Vec<_>>(),
        });
        return writeln!(out, "{object}");
    }
    let may = texts(claims.iter().map(|claim| &claim.grant));
    writeln!(out, "user {} ({}), signs in with {}, may: {may}", user.id, user.name, signs_in_with(user))
}

/// A password: asked for twice on a terminal, or the first line of standard input.
fn read_password() -> Result<String, Box<dyn Error>> {
    if io::stdin().is_terminal() {
        let password = rpassword::prompt_password("Password: ")?;
        if rpassword::prompt_password("Once more: ")? != password {
            return Err("these were two different passwords".into());
        }
        return Ok(password);
    }
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err("there is no password on standard input".into());
    }
    Ok(password.to_owned())
}
