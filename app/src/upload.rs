//! Artifacts from the browser: read a part at a time and hashed, then sent with their progress.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Promise, Uint8Array};
use otter_protocol::{Problem, ProblemCode, Sha256Digest};
use sha2::{Digest, Sha256};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, File, ProgressEvent, XmlHttpRequest};

use crate::api::ApiError;

/// Bytes read at a time: enough to be quick, little enough for any machine's memory.
const PART: f64 = (4 << 20) as f64;

/// Hashes a file, telling how many bytes are done.
pub(crate) async fn hash(file: &File, on_progress: impl Fn(f64)) -> Result<Sha256Digest, ApiError> {
    let mut hasher = Sha256::new();
    let blob: &Blob = file.as_ref();
    let (mut done, size) = (0.0, blob.size());
    while done < size {
        let end = (done + PART).min(size);
        let part = blob
            .slice_with_f64_and_f64(done, end)
            .map_err(|_| unreadable(file))?;
        let buffer = JsFuture::from(part.array_buffer())
            .await
            .map_err(|_| unreadable(file))?;
        hasher.update(Uint8Array::new(&buffer).to_vec());
        done = end;
        on_progress(done);
    }
    Ok(Sha256Digest(hasher.finalize().into()))
}

/// Sends a file as the artifact of that name, telling how many bytes are sent.
pub(crate) async fn send(
    file: &File,
    sha256: Sha256Digest,
    on_progress: impl Fn(f64) + 'static,
) -> Result<(), ApiError> {
    let request = XmlHttpRequest::new().map_err(|_| unreachable_server())?;
    let on_progress =
        Closure::wrap(
            Box::new(move |event: ProgressEvent| on_progress(event.loaded()))
                as Box<dyn FnMut(ProgressEvent)>,
        );
    let end = Rc::new(RefCell::new(None));
    let promise = {
        let (request, end) = (request.clone(), Rc::clone(&end));
        Promise::new(&mut move |resolve, _| {
            // Whether it went well is asked of the request itself.
            let ended = Closure::once(move || drop(resolve.call0(&JsValue::NULL)));
            request.set_onloadend(Some(ended.as_ref().unchecked_ref()));
            *end.borrow_mut() = Some(ended);
        })
    };
    let begun = begin(&request, file, sha256, &on_progress);
    begun.map_err(|_| unreachable_server())?;
    JsFuture::from(promise)
        .await
        .map_err(|_| unreachable_server())?;
    drop(on_progress);
    outcome(&request)
}

fn begin(
    request: &XmlHttpRequest,
    file: &File,
    sha256: Sha256Digest,
    on_progress: &Closure<dyn FnMut(ProgressEvent)>,
) -> Result<(), JsValue> {
    request.open("PUT", &format!("/api/v1/artifacts/{sha256}"))?;
    request.set_request_header("Content-Type", "application/octet-stream")?;
    request
        .upload()?
        .set_onprogress(Some(on_progress.as_ref().unchecked_ref()));
    request.send_with_opt_blob(Some(file.as_ref()))
}

fn outcome(request: &XmlHttpRequest) -> Result<(), ApiError> {
    match request.status() {
        Ok(200..=299) => Ok(()),
        Ok(0) | Err(_) => Err(unreachable_server()),
        Ok(status) => {
            let text = request.response_text().ok().flatten().unwrap_or_default();
            Err(serde_json::from_str::<Problem>(&text).map_or_else(
                |_| {
                    ApiError::new(
                        ProblemCode::Unavailable,
                        format!("The server refused the upload with status {status}."),
                    )
                },
                ApiError,
            ))
        }
    }
}

fn unreadable(file: &File) -> ApiError {
    ApiError::invalid(
        "file",
        format!(
            "{} can't be read; it may have changed or gone since it was chosen.",
            file.name()
        ),
    )
}

fn unreachable_server() -> ApiError {
    ApiError::new(
        ProblemCode::Unavailable,
        "The upload broke off: the server can't be reached. Check the connection and try again.",
    )
}
