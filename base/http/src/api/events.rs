//! `GET /events`: what happened, one document after another.

use base::json_object;
use base::map::Map;

json_object! {
    /// What it happened to.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Actor {
        /// An id or a name.
        "ID" => pub id: String,
        /// More about it: image, name, exitCode, …
        "Attributes" => pub attributes: Map<String, String>,
    }
}

json_object! {
    /// One event.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Event {
        /// container, image, volume.
        "Type" => pub kind: String,
        /// create, start, die, …
        "Action" => pub action: String,
        /// What it happened to.
        "Actor" => pub actor: Actor,
        /// local.
        "scope" => pub scope: String,
        /// Seconds since 1970.
        "time" => pub time: i64,
        /// Nanoseconds since 1970.
        "timeNano" => pub time_nano: i64,
        /// The action, for clients from before 2016.
        "status" ? => pub status: String,
        /// The actor's id, for them.
        "id" ? => pub id: String,
        /// The container's image, for them.
        "from" ? => pub from: String,
    }
}
