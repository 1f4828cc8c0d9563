//! What HTTP inside one process costs a `run`: two connections, each a socket pair with a server
//! thread of its own; create and start on one, wait on the other. Prints microseconds a run.

#![allow(clippy::unwrap_used, reason = "a measurement")]

use base_http::api::{ContainerConfig, CreateRequest, CreateResponse, WaitResponse};
use base_http::{
    Answer, Body, Connection, Input, Method, Payload, Request, push_query, read_request,
};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Instant;

fn connect() -> Connection {
    let (here, there) = UnixStream::pair().unwrap();
    let serve = move || {
        let there = Arc::new(there);
        let mut input = Input::exact(there.clone());
        while let Ok(Some(head)) = read_request(&mut input) {
            let body = Body::of(&mut input, &head).whole(1 << 20).unwrap();
            let to = Answer::to(&head, &*there);
            match head.path.as_str() {
                "/containers/create" => {
                    let request = CreateRequest::parse(&body).unwrap();
                    let response = CreateResponse { id: request.config.image, warnings: vec![] };
                    to.json(201, &response).unwrap();
                }
                "/wait" => {
                    let mut chunks = to.stream(200, "application/json").unwrap();
                    chunks.json(&WaitResponse::default()).unwrap();
                    chunks.finish().unwrap();
                }
                _ => to.empty(204).unwrap(),
            }
        }
    };
    std::thread::Builder::new().stack_size(128 * 1024).spawn(serve).unwrap();
    Connection::new(Arc::new(here))
}

fn main() {
    let mut times: Vec<u128> = Vec::new();
    for _ in 0..2000 {
        let begun = Instant::now();
        let mut first = connect();
        let config = ContainerConfig {
            image: "busybox:1".into(),
            cmd: Some(vec!["true".into()]),
            ..ContainerConfig::default()
        };
        let body = CreateRequest { config, ..CreateRequest::default() }.to_json();
        let mut target = String::from("/containers/create");
        push_query(&mut target, "name", "x");
        let payload = Payload::Json(&body);
        let ask = Request { method: Method::Post, target: &target, payload };
        first.send(ask).unwrap().json::<CreateResponse>().unwrap();
        let post = |target| Request { method: Method::Post, target, payload: Payload::None };
        let mut second = connect();
        let head = second.begin(post("/wait")).unwrap();
        first.send(post("/start")).unwrap().done().unwrap();
        second.answer(head).json::<WaitResponse>().unwrap();
        times.push(begun.elapsed().as_nanos() / 1000);
    }
    times.sort_unstable();
    println!("median {} us, 90 in 100 below {} us", times[1000], times[1800]);
}
