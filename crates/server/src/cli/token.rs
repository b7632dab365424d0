//! `sheaf token`: what programs sign in with.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use comfy_table::{Table, presets};
use serde_json::json;
use sheaf_db::{Access, NewEvent, NewToken, Token};
use sheaf_model::{SamplePeriod, Tick};
use uuid::Uuid;

use super::Outcome;
use super::data::{self, DataArgs};
use super::grant_args::{GrantArgs, texts};
use crate::http::auth::{first, ms_of_tick, now_ms, secret, tick_of_ms};

/// Tokens that are looked up at once.
const PAGE: usize = 500;

/// Make, list and revoke the tokens that programs sign in with
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sheaf token create --name notebook --read '/plant(/.*)?'")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Create(Box<CreateArgs>),
    /// List tokens, without their secrets, which nobody knows
    #[command(after_help = "Examples:\n  sheaf token list\n  sheaf token list --json")]
    List {
        #[command(flatten)]
        data: DataArgs,
        /// Print one JSON object for each token
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token; a server that runs knows at once
    #[command(after_help = "Examples:\n  sheaf token revoke notebook\n  sheaf token revoke 0b5c…-…")]
    Revoke {
        /// Its id, or its name if only one has it
        #[arg(value_name = "ID|NAME")]
        token: String,
        #[command(flatten)]
        data: DataArgs,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Make a token, and print it on the last line, this once
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf token create --name notebook --read '/plant(/.*)?' --read /SAMPLE/LOCAL
  sheaf token create --name logger --write /plant/mast --expires '365 d'
  sheaf token create --name ops --admin
  TOKEN=$(sheaf token create --name script --read '/.*' | tail -n 1)

A server that runs beside takes the token at once. Without --user it belongs to a user of its own, NAME@cli, who may do
what the token may; so tokens of one name share their jobs, and others don't see them. With --user it is good for at most
what that user may do.")]
struct CreateArgs {
    /// What the token is for
    #[arg(long, value_name = "NAME")]
    name: String,
    #[command(flatten)]
    grants: GrantArgs,
    /// When it expires: a date, or a time from now, like 2030-01-01 or '90 d' [default: never]
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
    /// The user who signs in with it
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    #[command(flatten)]
    data: DataArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut (impl Write + Send)) -> Outcome {
    match &args.command {
        Command::Create(args) => create(args, out),
        Command::List { data, json } => list(data, *json, out),
        Command::Revoke { token, data, json } => revoke(token, data, *json, out),
    }
}

fn create(args: &CreateArgs, out: &mut (impl Write + Send)) -> Outcome {
    let grants = args.grants.grants()?;
    let expires_at_ms = args.expires.as_deref().map(expiry).transpose()?;
    data::run(data::Unit::Count, async |_| {
        let access = args.data.create().await?.database.access();
        let secret = secret::new_token();
        let new = NewToken {
            user: args.user.clone().unwrap_or_default(),
            name: args.name.clone(),
            secret: secret::digest(&secret),
            expires_at_ms,
            grants,
        };
        let detail = json!({"name": args.name, "user": args.user, "claims": new.grants});
        let event = NewEvent::by_command("token.create", args.name.as_str(), detail);
        let token = match &args.user {
            Some(user) => access.add_token(new, event).await?.ok_or_else(|| no_user(user))?,
            None => access.add_token_with_user(new, first::own_user(&args.name), event).await?,
        };
        if args.json {
            let mut object = describe(&token);
            object["token"] = secret.into();
            writeln!(out, "{object}")?;
        } else {
            let expires = token
                .expires_at_ms
                .map_or("never expires".to_owned(), |ms| format!("expires {}", tick_of_ms(ms)));
            writeln!(
                out,
                "token `{}` of user {} ({}), {expires}, for: {}\nkeep it, it is shown this once:\n{secret}",
                token.name,
                token.user,
                token.id,
                texts(&token.grants)
            )?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// What to say of a user who is not there.
pub(super) fn no_user(user: &str) -> String {
    format!("there is no user `{user}`: `sheaf user list` lists them")
}

/// A date, or a time from now, in milliseconds since 1970.
fn expiry(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is no date like 2030-01-01, and no time like '90 d'");
    let at_ms = match text.parse::<Tick>() {
        Ok(tick) => ms_of_tick(tick),
        Err(_) => {
            let period = SamplePeriod::parse_lenient(text).map_err(|_| wrong())?;
            now_ms().saturating_add(period.ticks() / (Tick::PER_SECOND / 1000))
        }
    };
    if at_ms <= now_ms() {
        return Err(format!("`{text}` has passed: a token that expires then is worth nothing"));
    }
    Ok(at_ms)
}

async fn all(access: &Access) -> Result<Vec<Token>, Box<dyn Error>> {
    let mut tokens: Vec<Token> = Vec::new();
    loop {
        let page = access.tokens(tokens.last().map(|token| token.id), PAGE).await?;
        if page.is_empty() {
            tokens.sort_by(|a, b| (&a.name, a.created_at_ms, a.id).cmp(&(&b.name, b.created_at_ms, b.id)));
            return Ok(tokens);
        }
        tokens.extend(page);
    }
}

fn list(data: &DataArgs, json: bool, out: &mut (impl Write + Send)) -> Outcome {
    data::run(data::Unit::Count, async |_| {
        let tokens = all(&data.existing().await?.1.access()).await?;
        if json {
            for token in &tokens {
                writeln!(out, "{}", describe(token))?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_header(["NAME", "USER", "ID", "EXPIRES", "FOR"]);
        for token in &tokens {
            let expires = match token.expires_at_ms {
                Some(ms) if ms <= now_ms() => "expired".to_owned(),
                Some(ms) => tick_of_ms(ms).to_string(),
                None => "never".to_owned(),
            };
            table.add_row([&token.name, &token.user, &token.id.to_string(), &expires, &texts(&token.grants)]);
        }
        writeln!(out, "{}", table.trim_fmt())?;
        Ok(ExitCode::SUCCESS)
    })
}

fn revoke(which: &str, data: &DataArgs, json: bool, out: &mut (impl Write + Send)) -> Outcome {
    data::run(data::Unit::Count, async |_| {
        let access = data.existing().await?.1.access();
        let tokens = all(&access).await?;
        let id: Option<Uuid> = which.parse().ok();
        let found: Vec<&Token> =
            tokens.iter().filter(|token| id.map_or(token.name == which, |id| token.id == id)).collect();
        let token = match found[..] {
            [token] => token,
            [] => return Err(format!("there is no token `{which}`: `sheaf token list` lists them").into()),
            _ => {
                let ids: Vec<String> = found.iter().map(|token| token.id.to_string()).collect();
                return Err(
                    format!("there are several tokens `{which}`: name one of {}", ids.join(", ")).into()
                );
            }
        };
        let detail = json!({"name": token.name, "user": token.user});
        let event = NewEvent::by_command("token.revoke", token.id.to_string(), detail);
        access.remove_token(token.id, None, event).await?;
        if json {
            writeln!(out, "{}", describe(token))?;
        } else {
            writeln!(out, "revoked token `{}` of user {} ({})", token.name, token.user, token.id)?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn describe(token: &Token) -> serde_json::Value {
    json!({
        "id": token.id,
        "name": token.name,
        "user": token.user,
        "created": tick_of_ms(token.created_at_ms).to_string(),
        "expires": token.expires_at_ms.map(|ms| tick_of_ms(ms).to_string()),
        "claims": token.grants,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_expire_at_a_date_or_after_a_time() {
        assert_eq!(expiry("2100-01-01"), Ok(4_102_444_800_000));
        let in_a_day = expiry("1 d").unwrap() - now_ms();
        assert!((86_390_000..=86_400_000).contains(&in_a_day), "{in_a_day}");
        assert!(expiry("2000-01-01").unwrap_err().contains("has passed"));
        assert!(expiry("soon").unwrap_err().contains("no date"));
    }
}
