//! Pulling an image, for `run` and `create`.

use crate::reference;
use crate::session::Session;
use base::Result;
use base_http::{Method, Payload};

/// Pulls and shows how far it is, on standard error: standard output is the container's.
pub(super) fn pull(session: &Session<'_>, image: &str, quiet: bool) -> Result<()> {
    let (name, tag) = reference::split(image);
    let target = session.target("/images/create", "", "")?;
    let target = target.with("fromImage", name).with("tag", tag);
    let (_, mut connection, head) = session.begin(Method::Post, &target, Payload::None)?;
    let mut response = connection.answer(head);
    crate::progress::show(session, &mut response, rustix::stdio::stderr(), &mut |_| !quiet)
}
