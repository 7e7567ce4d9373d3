# Compiler flags for every room; dependencies are included as SYSTEM and never warned about.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# The build tree has the shape of the installed tree, so that a program finds its parts in the same way in both.
set(BB_BIN_DIR "${CMAKE_BINARY_DIR}/bin")
set(BB_LIBEXEC_DIR "${CMAKE_BINARY_DIR}/libexec/bot-bottle")
set(BB_PLUGIN_DIR "${CMAKE_BINARY_DIR}/lib/bot-bottle/plugins")
set(BB_SHARE_DIR "${CMAKE_BINARY_DIR}/share/bot-bottle")

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  foreach(language IN ITEMS C CXX)
    set(CMAKE_${language}_COMPILER_LAUNCHER
        ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
        CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} ${CCACHE_PROGRAM})
  endforeach()
  add_compile_options($<$<AND:$<CXX_COMPILER_ID:GNU>,$<COMPILE_LANGUAGE:CXX>>:-fpch-preprocess>
    "$<$<AND:$<CXX_COMPILER_ID:Clang>,$<COMPILE_LANGUAGE:CXX>>:SHELL:-Xclang -fno-pch-timestamp>")
endif()

add_library(bb_flags INTERFACE)
target_compile_options(bb_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wdouble-promotion -Wformat=2 -Wimplicit-fallthrough -Wno-missing-field-initializers
  $<$<COMPILE_LANGUAGE:CXX>:-Wold-style-cast -Wnon-virtual-dtor -Woverloaded-virtual>
  # g++ 12 reports these in the middle of its own std::string when it inlines operator+ (GCC bugs 105329, 105651).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread -Wno-restrict>
  -fstack-protector-strong
  $<$<BOOL:${BB_WARNINGS_AS_ERRORS}>:-Werror>)
target_compile_definitions(bb_flags INTERFACE
  _GLIBCXX_ASSERTIONS
  $<$<BOOL:${BB_TEST_HOOKS}>:BB_TEST_HOOKS=1>)
target_include_directories(bb_flags INTERFACE "${CMAKE_SOURCE_DIR}" "${CMAKE_SOURCE_DIR}/plugin-api/include")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|i.86")
  target_compile_options(bb_flags INTERFACE -fcf-protection)
endif()
if(NOT APPLE)
  # as-needed: a library that is not used costs about a millisecond at each start.
  add_link_options(-Wl,-z,relro -Wl,-z,now -Wl,--as-needed)
endif()
if(CMAKE_BUILD_TYPE MATCHES "Rel" AND NOT BB_SANITIZE)
  target_compile_definitions(bb_flags INTERFACE _FORTIFY_SOURCE=2)
endif()
if(BB_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(BB_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
endif()
if(BB_FUZZ)
  # Every room, not only the targets: the fuzzer is guided by the branches of the code under test. Programs that are not
  # fuzzers link as before (the sanitizers' runtime has the callbacks, which do nothing there).
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
# A release is the same to the byte wherever it is built: no path of the build machine, no clock in an archive.
if(CMAKE_BUILD_TYPE MATCHES "Rel")
  add_compile_options("-ffile-prefix-map=${CMAKE_BINARY_DIR}=build" "-ffile-prefix-map=${CMAKE_SOURCE_DIR}=.")
endif()
if(NOT APPLE)
  foreach(language IN ITEMS C CXX)
    set(CMAKE_${language}_ARCHIVE_CREATE "<CMAKE_AR> qcD <TARGET> <LINK_FLAGS> <OBJECTS>")
    set(CMAKE_${language}_ARCHIVE_APPEND "<CMAKE_AR> qD <TARGET> <LINK_FLAGS> <OBJECTS>")
    set(CMAKE_${language}_ARCHIVE_FINISH "<CMAKE_RANLIB> -D <TARGET>")
  endforeach()
endif()
include(CheckPIESupported)
check_pie_supported(LANGUAGES C CXX)
