//! A provider: an agent that greets. It fails to be resumed, to show how.
#![allow(non_upper_case_globals)]

mod ffi;

use std::ffi::CStr;
use std::os::raw::{c_char, c_void};

extern "C" fn create(_host: *const ffi::Host, _call: *const ffi::Call, this: *mut *mut c_void) -> i32 {
    // No state: any address that is not null will do.
    unsafe { *this = &TABLE as *const ffi::Provider as *mut c_void };
    ffi::OK
}

extern "C" fn destroy(_this: *mut c_void) {}

extern "C" fn describe(_this: *mut c_void, _call: *const ffi::Call, out: ffi::Writer) -> i32 {
    ffi::write(
        out,
        r#"{"schema":"bot-bottle.provider-description/1","display_name":"@NAME@","guest_home":"/home/agent",
            "user":"agent","program":"sh","dockerfile":"","state_paths":[],"skills_dir":"","env":{},"bind_ro":[]}"#,
    )
}

extern "C" fn plan(_this: *mut c_void, call: *const ffi::Call, spec: ffi::Str, out: ffi::Writer) -> i32 {
    // A real plugin has a JSON parser; this one looks for the only thing that it cares about.
    match ffi::read(spec) {
        None => return ffi::fail(call, ffi::INTERNAL, "the spec is not UTF-8", "report it"),
        Some(text) if text.contains("\"resume\":true") => {
            return ffi::fail(call, ffi::UNSUPPORTED, "@NAME@ cannot be resumed", "start a new bottle")
        }
        Some(_) => {}
    }
    ffi::write(
        out,
        r#"{"schema":"bot-bottle.provider-plan/1","env":{"GREETING":"hello"},"hidden_env":[],"files":[],
            "egress_routes":[],"placeholders":[],"commands":[],"argv":["sh","-c","echo \"$GREETING\""],"resume_argv":[],
            "headless_argv":["sh","-c","echo \"$GREETING\""],"headless_stdin":"none","mcp_commands":[],
            "ui":{"title":"@NAME@","color":""}}"#,
    )
}

static TABLE: ffi::Provider = ffi::Provider {
    struct_size: std::mem::size_of::<ffi::Provider>() as u32,
    create,
    destroy,
    describe,
    plan,
    provision: std::ptr::null(),
    host_credentials: std::ptr::null(),
};
