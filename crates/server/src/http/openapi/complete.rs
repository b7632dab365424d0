//! What handlers don't say of themselves, because it holds for all of their kind: errors of extractors and layers, and that
//! texts are JSON strings where those are asked for.

use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{Content, ContentBuilder, ObjectBuilder, OpenApi, RefOr, Response, ResponseBuilder};

use crate::http::datastore;

/// Texts and JSON strings.
const TEXT: &str = "text/plain";
const JSON: &str = "application/json";

/// Errors of requests that have parameters.
const OF_PARAMETERS: &[(&str, &str)] = &[("400", "A parameter is missing or can't be read")];

/// Errors of requests that have a body.
const OF_BODIES: &[(&str, &str)] = &[
    ("400", "The body can't be read"),
    ("413", "The body is too large"),
    ("415", "The body is of a kind that can't be read"),
    ("422", "The body does not say what it should"),
];

/// Errors of requests that need somebody who asks.
const OF_CALLERS: &[(&str, &str)] = &[
    ("401", "Nobody has signed in, or with something that is worth nothing"),
    ("403", "Whoever asks may not do that"),
];

/// Errors of all requests.
const OF_ALL: &[(&str, &str)] = &[("503", "The server is at one of its limits, or ends")];

/// Adds it to a document.
pub(super) fn complete(mut document: OpenApi) -> OpenApi {
    for (path, item) in &mut document.paths.paths {
        // The datastore's routes say it themselves: their errors are objects.
        if !path.starts_with("/api/") || datastore::is_ours(path) {
            continue;
        }
        let methods =
            [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.head, &mut item.patch];
        for operation in methods.into_iter().flatten() {
            complete_operation(operation);
        }
    }
    document
}

fn complete_operation(operation: &mut Operation) {
    let has_parameters = operation.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty());
    let errors = [
        (has_parameters, OF_PARAMETERS),
        (operation.request_body.is_some(), OF_BODIES),
        // Those without any requirement say so.
        (operation.security.is_none(), OF_CALLERS),
        (true, OF_ALL),
    ];
    let responses = &mut operation.responses.responses;
    for (_, errors) in errors.into_iter().filter(|(holds, _)| *holds) {
        for &(status, description) in errors {
            responses.entry(status.to_owned()).or_insert_with(|| {
                let response = ResponseBuilder::new().description(description).content(TEXT, text());
                RefOr::T(response.build())
            });
        }
    }
    for (status, response) in responses {
        if let RefOr::T(response) = response {
            texts_are_json(status, response);
        }
    }
}

/// Errors are text, and JSON strings if they are asked for as such; other strings are always JSON.
fn texts_are_json(status: &str, response: &mut Response) {
    if !response.content.contains_key(TEXT) || response.content.contains_key(JSON) {
        return;
    }
    if status.starts_with('2') {
        if let Some(content) = response.content.shift_remove(TEXT) {
            response.content.insert(JSON.to_owned(), content);
        }
    } else {
        response.content.insert(JSON.to_owned(), RefOr::T(text()));
    }
}

fn text() -> Content {
    ContentBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String).build())).build()
}
