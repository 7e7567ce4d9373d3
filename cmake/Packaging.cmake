# What is installed beside programs and plugins, and the .deb (CPack; `./run deb`). See docs/packaging.md.
set(BB_DOC_DIR share/doc/bot-bottle)
install(FILES README.md LICENSE packaging/deb/copyright DESTINATION ${BB_DOC_DIR})
install(DIRECTORY docs DESTINATION ${BB_DOC_DIR} PATTERN "*.py" EXCLUDE PATTERN "__pycache__" EXCLUDE)

# The bill of materials is written last, of the files as they were installed: stripped, and in DESTDIR where one is used. Libraries
# that dpkg does not know are no reason not to install; a package without its bill is not made (packaging/deb/finish.cmake).
option(BB_BILL_OF_MATERIALS "Install share/doc/bot-bottle/bot-bottle.spdx.json (of libraries that dpkg knows)" ON)
find_program(DPKG_QUERY_PROGRAM dpkg-query)
if(DPKG_QUERY_PROGRAM AND BB_BILL_OF_MATERIALS)
  find_package(Python3 COMPONENTS Interpreter REQUIRED)
  install(CODE "
    set(prefix \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}\")
    execute_process(COMMAND \"${Python3_EXECUTABLE}\" -B \"${CMAKE_SOURCE_DIR}/packaging/sbom.py\" --build \"${CMAKE_BINARY_DIR}\"
      --prefix \"\${prefix}\" --version \"${PROJECT_VERSION}\" --compiler \"${CMAKE_CXX_COMPILER}\" --ninja \"${CMAKE_MAKE_PROGRAM}\"
      --output \"\${prefix}/${BB_DOC_DIR}/bot-bottle.spdx.json\" RESULT_VARIABLE code)
    if(NOT code EQUAL 0)
      message(WARNING \"installed without a bill of materials\")
    endif()")
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME bot-bottle)
set(CPACK_PACKAGE_VENDOR bot-bottle)
set(CPACK_PACKAGE_CONTACT "The bot-bottle authors <bot-bottle@example.com>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "run coding agents as if they were already compromised")
file(READ packaging/deb/description CPACK_PACKAGE_DESCRIPTION)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_DIRECTORY "${CMAKE_BINARY_DIR}")
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_PRE_BUILD_SCRIPTS "${CMAKE_SOURCE_DIR}/packaging/deb/finish.cmake")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
# What the programs start themselves. Without git and bubblewrap `doctor` reports an error; the rest is for some bottles.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "bubblewrap, ca-certificates, git")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "openssh-client, tmux")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "docker.io, nodejs")
include(CPack)
