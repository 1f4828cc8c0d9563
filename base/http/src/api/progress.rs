//! One line of the stream that pull, load and import answer with.

use base::json_object;

json_object! {
    /// How far a transfer is.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct ProgressDetail {
        /// Bytes so far.
        "current" ? => pub current: i64,
        /// Bytes in all, 0 when not known.
        "total" ? => pub total: i64,
    }
}

json_object! {
    /// The reason of a failed job, in long form.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct ErrorDetail {
        /// A number, usually absent.
        "code" ? => pub code: i64,
        /// The sentence.
        "message" ? => pub message: String,
    }
}

json_object! {
    /// A step of a long job; the last one may carry `error`, and the answer's status is 200 even
    /// so: it was sent before the job could fail.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct ProgressMessage {
        /// Text printed as it is, line ends included.
        "stream" ? => pub stream: String,
        /// What is done now, to the thing named by `id`.
        "status" ? => pub status: String,
        /// Numbers behind the bar.
        "progressDetail" ? => pub progress_detail: Option<ProgressDetail>,
        /// The bar, drawn by the server for a terminal.
        "progress" ? => pub progress: String,
        /// A layer's short id, or a tag.
        "id" ? => pub id: String,
        /// The job failed: why, short.
        "error" ? => pub error: String,
        /// The job failed: why.
        "errorDetail" ? => pub error_detail: Option<ErrorDetail>,
    }
}
