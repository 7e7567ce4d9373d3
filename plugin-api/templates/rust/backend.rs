//! The skeleton of a backend. It says that it cannot run yet: fill in the functions below, then let `probe` say so, and
//! `bot-bottle plugin check` tries the life of a whole bottle. bot_bottle/backend.h says what each promises; the documents are
//! described in share/bot-bottle/schemas.
#![allow(non_upper_case_globals)]

mod ffi;

use std::ffi::CStr;
use std::os::raw::{c_char, c_void};

extern "C" fn create(_host: *const ffi::Host, _call: *const ffi::Call, this: *mut *mut c_void) -> i32 {
    // No state yet: any address that is not null will do.
    unsafe { *this = &TABLE as *const ffi::Backend as *mut c_void };
    ffi::OK
}

extern "C" fn destroy(_this: *mut c_void) {}

extern "C" fn probe(_this: *mut c_void, _call: *const ffi::Call, out: ffi::Writer) -> i32 {
    ffi::write(
        out,
        r#"{"schema":"bot-bottle.probe/1","available":false,"reason":"@NAME@ is a skeleton","fix":"write it",
            "features":[],"version":""}"#,
    )
}

fn not_yet(call: *const ffi::Call, what: &str) -> i32 {
    ffi::fail(call, ffi::UNSUPPORTED, what, "write this function")
}

extern "C" fn plan(_this: *mut c_void, call: *const ffi::Call, _spec: ffi::Str, _out: ffi::Writer) -> i32 {
    not_yet(call, "@NAME@ cannot plan a bottle yet")
}

extern "C" fn start_sidecar(
    _this: *mut c_void, call: *const ffi::Call, _plan: ffi::Str, _config: i32, _lifeline: i32, _out: ffi::Writer,
) -> i32 {
    not_yet(call, "@NAME@ cannot start a sidecar yet")
}

extern "C" fn launch(
    _this: *mut c_void, call: *const ffi::Call, _plan: ffi::Str, _inputs: ffi::Str, _lifeline: i32, _out: ffi::Writer,
) -> i32 {
    not_yet(call, "@NAME@ cannot launch a bottle yet")
}

extern "C" fn exec(
    _this: *mut c_void, call: *const ffi::Call, _bottle: ffi::Str, _request: ffi::Str, _stdin: i32, _out: ffi::Writer,
) -> i32 {
    not_yet(call, "@NAME@ cannot run programs yet")
}

extern "C" fn attach_argv(
    _this: *mut c_void, call: *const ffi::Call, _bottle: ffi::Str, _request: ffi::Str, _out: ffi::Writer,
) -> i32 {
    not_yet(call, "@NAME@ cannot attach a terminal yet")
}

extern "C" fn copy(_this: *mut c_void, call: *const ffi::Call, _bottle: ffi::Str, _request: ffi::Str) -> i32 {
    not_yet(call, "@NAME@ cannot copy files yet")
}

/// Nothing runs and nothing is left: both are success, however often they are called.
extern "C" fn stop(_this: *mut c_void, _call: *const ffi::Call, _bottle: ffi::Str) -> i32 {
    ffi::OK
}

extern "C" fn enumerate(_this: *mut c_void, _call: *const ffi::Call, out: ffi::Writer) -> i32 {
    ffi::write(out, r#"{"schema":"bot-bottle.bottles/1","bottles":[]}"#)
}

static TABLE: ffi::Backend = ffi::Backend {
    struct_size: std::mem::size_of::<ffi::Backend>() as u32,
    create,
    destroy,
    probe,
    plan,
    build: std::ptr::null(),
    start_sidecar,
    launch,
    exec,
    attach_argv,
    copy_in: copy,
    copy_out: copy,
    sidecar_exec: std::ptr::null(),
    stop,
    remove: stop,
    enumerate,
    orphans: std::ptr::null(),
    cleanup: std::ptr::null(),
};
