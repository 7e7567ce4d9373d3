
extern "C" fn init(_host: *const ffi::Host) -> i32 {
    ffi::OK
}

extern "C" fn get_interface(id: *const c_char) -> *const c_void {
    let wanted = b"bot-bottle.@KIND@/1\0";
    let same = unsafe { CStr::from_ptr(id) }.to_bytes_with_nul() == wanted;
    if same { &TABLE as *const _ as *const c_void } else { std::ptr::null() }
}

/// The one symbol that leaves the library.
#[no_mangle]
pub static bb_plugin_entry: ffi::Plugin = ffi::Plugin {
    struct_size: std::mem::size_of::<ffi::Plugin>() as u32,
    abi_major: 1,
    abi_minor: 0,
    reserved: 0,
    name: b"@NAME@\0".as_ptr() as *const c_char,
    version: b"1.0.0\0".as_ptr() as *const c_char,
    description: b"@DESCRIPTION@\0".as_ptr() as *const c_char,
    init,
    deinit: None,
    get_interface,
};
