# CPack runs this on the staged tree just before it packs: Debian's places and forms, and nothing that differs from build to build.
set(usr "${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr")
if(NOT EXISTS "${usr}/bin/bot-bottle")
  message(FATAL_ERROR "packaging/deb/finish.cmake: there is no ${usr}/bin/bot-bottle")
endif()

if(NOT EXISTS "${usr}/share/doc/bot-bottle/bot-bottle.spdx.json")
  message(FATAL_ERROR "no package without a bill of materials: see above what packaging/sbom.py did not know")
endif()

# Debian's zsh looks for packages' completions in vendor-completions alone; the licence's text is in base-files.
file(RENAME "${usr}/share/zsh/site-functions" "${usr}/share/zsh/vendor-completions")
# Headers alone are of no architecture: where a pkg-config for another one looks, too.
file(MAKE_DIRECTORY "${usr}/share/pkgconfig")
file(RENAME "${usr}/lib/pkgconfig/bot-bottle-plugin-api.pc" "${usr}/share/pkgconfig/bot-bottle-plugin-api.pc")
file(REMOVE_RECURSE "${usr}/lib/pkgconfig")
file(MAKE_DIRECTORY "${usr}/share/lintian/overrides")
file(COPY_FILE "${CMAKE_CURRENT_LIST_DIR}/lintian-overrides" "${usr}/share/lintian/overrides/bot-bottle")
file(REMOVE "${usr}/share/doc/bot-bottle/LICENSE")

file(COPY_FILE "${CMAKE_CURRENT_LIST_DIR}/changelog" "${usr}/share/doc/bot-bottle/changelog")
file(GLOB compressed "${usr}/share/man/man*/*" "${usr}/share/doc/bot-bottle/changelog")
execute_process(COMMAND gzip -9n ${compressed} COMMAND_ERROR_IS_FATAL ANY)

execute_process(COMMAND chmod -R u=rwX,go=rX "${usr}" COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND sh -c "find \"$1\" -type f -name '*.so' -exec chmod 644 {} +" sh "${usr}" COMMAND_ERROR_IS_FATAL ANY)
if(DEFINED ENV{SOURCE_DATE_EPOCH})
  execute_process(COMMAND sh -c "find \"$1\" -exec touch -hcd @$SOURCE_DATE_EPOCH {} +" sh "${usr}" COMMAND_ERROR_IS_FATAL ANY)
endif()
