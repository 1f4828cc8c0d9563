//! Threads have no names here.
//!
//! The standard library can name a thread, and musl's function for that brings all of printf,
//! floating point included: 9 kB that nobody asked for. A function of our own with its name comes
//! first, so that the linker never takes musl's.

/// Names nothing, and says so politely: the standard library does not look at the answer.
// SAFETY: it is declared as in the C library, and looks at neither argument.
#[unsafe(no_mangle)]
extern "C" fn pthread_setname_np(_thread: libc::pthread_t, _name: *const libc::c_char) -> i32 {
    libc::ENOSYS
}
