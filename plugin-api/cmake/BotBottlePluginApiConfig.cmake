# find_package(BotBottlePluginApi): the headers and SDK as bot-bottle::plugin-api (C++) and bot-bottle::plugin-api-c, and
#
#   bot_bottle_add_plugin(NAME SOURCE...)
#
# which builds NAME as a plugin directory with plugin.toml beside the library, ready for ~/.bot-bottle/contrib/NAME.
get_filename_component(_bot_bottle_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

if(NOT TARGET bot-bottle::plugin-api-c)
  add_library(bot-bottle::plugin-api-c INTERFACE IMPORTED)
  set_target_properties(bot-bottle::plugin-api-c PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${_bot_bottle_prefix}/include")
endif()
get_property(_bot_bottle_languages GLOBAL PROPERTY ENABLED_LANGUAGES)
if(NOT TARGET bot-bottle::plugin-api AND "CXX" IN_LIST _bot_bottle_languages)
  include(CMakeFindDependencyMacro)
  find_dependency(Boost 1.81 COMPONENTS json)
  add_library(bot-bottle::plugin-api INTERFACE IMPORTED)
  set_target_properties(bot-bottle::plugin-api PROPERTIES INTERFACE_LINK_LIBRARIES "bot-bottle::plugin-api-c;Boost::json"
    INTERFACE_COMPILE_FEATURES cxx_std_20)
endif()
set(BOT_BOTTLE_PLUGIN_API_FILES "${_bot_bottle_prefix}/share/bot-bottle/plugin-api")

# Hidden visibility is not enough: weak symbols of the standard library stay, and are merged across plugins. The linker file
# leaves bb_plugin_entry alone.
function(bot_bottle_add_plugin name)
  add_library(${name} MODULE ${ARGN})
  if(TARGET bot-bottle::plugin-api)
    target_link_libraries(${name} PRIVATE bot-bottle::plugin-api)
  else()
    target_link_libraries(${name} PRIVATE bot-bottle::plugin-api-c)  # a project in C alone needs no Boost
  endif()
  set(directory "${CMAKE_CURRENT_BINARY_DIR}/plugins/${name}")
  set_target_properties(${name} PROPERTIES PREFIX "" SUFFIX ".so" LIBRARY_OUTPUT_DIRECTORY "${directory}" POSITION_INDEPENDENT_CODE ON
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  if(APPLE)
    target_link_options(${name} PRIVATE "-Wl,-exported_symbols_list,${BOT_BOTTLE_PLUGIN_API_FILES}/plugin-symbols.txt")
  else()
    target_link_options(${name} PRIVATE "-Wl,--version-script,${BOT_BOTTLE_PLUGIN_API_FILES}/plugin.version" -Wl,-z,defs -Wl,-z,relro -Wl,-z,now)
  endif()
  configure_file("${CMAKE_CURRENT_SOURCE_DIR}/plugin.toml" "${directory}/plugin.toml" COPYONLY)
  # What others may write to is refused, and a umask of 002 lets a group.
  add_custom_command(TARGET ${name} POST_BUILD COMMAND chmod go-w "${directory}" "${directory}/plugin.toml" "$<TARGET_FILE:${name}>" VERBATIM)
endfunction()
