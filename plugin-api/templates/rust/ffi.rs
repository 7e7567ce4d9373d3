//! The part of bot_bottle/plugin.h that this plugin needs, written from the header by hand (ABI 1.0). Tables grow at their end
//! only, so this stays right for every 1.x host.
#![allow(dead_code)]

use std::os::raw::{c_char, c_void};

pub const OK: i32 = 0;
pub const UNSUPPORTED: i32 = 5;
pub const INTERNAL: i32 = 10;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Str {
    pub data: *const u8,
    pub size: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Writer {
    pub context: *mut c_void,
    pub write: extern "C" fn(context: *mut c_void, part: Str) -> i32,
}

#[repr(C)]
pub struct Call {
    pub struct_size: u32,
    pub cancel_fd: i32,
    pub host_data: *mut c_void,
    pub fail: extern "C" fn(call: *const Call, message: Str, hint: Str),
    pub progress: extern "C" fn(call: *const Call, permille: u32, what: Str),
}

/// Only handed around here; see bb_host.
#[repr(C)]
pub struct Host {
    pub struct_size: u32,
}

pub type Create = extern "C" fn(host: *const Host, call: *const Call, this: *mut *mut c_void) -> i32;
pub type Destroy = extern "C" fn(this: *mut c_void);
pub type Out = extern "C" fn(this: *mut c_void, call: *const Call, out: Writer) -> i32;
pub type InOut = extern "C" fn(this: *mut c_void, call: *const Call, document: Str, out: Writer) -> i32;
pub type In = extern "C" fn(this: *mut c_void, call: *const Call, document: Str) -> i32;
pub type InIn = extern "C" fn(this: *mut c_void, call: *const Call, first: Str, second: Str) -> i32;
pub type InInOut = extern "C" fn(this: *mut c_void, call: *const Call, first: Str, second: Str, out: Writer) -> i32;
pub type Exec =
    extern "C" fn(this: *mut c_void, call: *const Call, first: Str, second: Str, fd: i32, out: Writer) -> i32;
pub type StartSidecar =
    extern "C" fn(this: *mut c_void, call: *const Call, plan: Str, config: i32, lifeline: i32, out: Writer) -> i32;

#[repr(C)]
pub struct Provider {
    pub struct_size: u32,
    pub create: Create,
    pub destroy: Destroy,
    pub describe: Out,
    pub plan: InOut,
    pub provision: *const c_void,
    pub host_credentials: *const c_void,
}

#[repr(C)]
pub struct Backend {
    pub struct_size: u32,
    pub create: Create,
    pub destroy: Destroy,
    pub probe: Out,
    pub plan: InOut,
    pub build: *const c_void,
    pub start_sidecar: StartSidecar,
    pub launch: Exec,
    pub exec: Exec,
    pub attach_argv: InInOut,
    pub copy_in: InIn,
    pub copy_out: InIn,
    pub sidecar_exec: *const c_void,
    pub stop: In,
    pub remove: In,
    pub enumerate: Out,
    pub orphans: *const c_void,
    pub cleanup: *const c_void,
}

#[repr(C)]
pub struct Plugin {
    pub struct_size: u32,
    pub abi_major: u32,
    pub abi_minor: u32,
    pub reserved: u32,
    pub name: *const c_char,
    pub version: *const c_char,
    pub description: *const c_char,
    pub init: extern "C" fn(host: *const Host) -> i32,
    pub deinit: Option<extern "C" fn()>,
    pub get_interface: extern "C" fn(id: *const c_char) -> *const c_void,
}

// Constant data that points to constant data.
unsafe impl Sync for Provider {}
unsafe impl Sync for Backend {}
unsafe impl Sync for Plugin {}

pub fn text(from: &str) -> Str {
    Str { data: from.as_ptr(), size: from.len() }
}

/// Valid as long as the call that it came with; None when it is not UTF-8.
pub fn read<'a>(from: Str) -> Option<&'a str> {
    if from.size == 0 {
        return Some("");
    }
    std::str::from_utf8(unsafe { std::slice::from_raw_parts(from.data, from.size) }).ok()
}

pub fn write(out: Writer, document: &str) -> i32 {
    (out.write)(out.context, text(document))
}

/// A failure is a message, a hint and a status, always together.
pub fn fail(call: *const Call, status: i32, message: &str, hint: &str) -> i32 {
    unsafe { ((*call).fail)(call, text(message), text(hint)) };
    status
}
