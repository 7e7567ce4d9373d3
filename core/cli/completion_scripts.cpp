// The shells' side of completion. It asks the program on $PATH, never a file that happens to be called so in the
// working directory, and hands words over as words: nothing of them is evaluated (no eval, no `compgen -W`).
#include "core/cli/completion.hpp"

namespace bot_bottle::cli {
namespace {

constexpr std::string_view bash_script = R"(# bash completion of bot-bottle: source <(bot-bottle completion bash)
_bot_bottle() {
  local line what=
  COMPREPLY=()
  while IFS= read -r line; do
    if [ -z "$what" ]; then what=$line; else COMPREPLY+=("${line%%$'\t'*}"); fi
  done < <(command bot-bottle __complete bash "${COMP_WORDS[@]:1:COMP_CWORD-1}" "$2" 2>/dev/null </dev/null)
  case $what in
    directories*) compopt -o dirnames -o filenames ;;
    files*) [ ${#COMPREPLY[@]} -gt 0 ] || compopt -o default ;;
  esac
  case $what in *nospace) compopt -o nospace ;; esac
}
complete -F _bot_bottle bot-bottle
)";

constexpr std::string_view zsh_script = R"(#compdef bot-bottle
# zsh completion of bot-bottle: in a directory of $fpath as _bot-bottle, or source <(bot-bottle completion zsh)
_bot-bottle() {
  local -a answer names shown
  local line what name
  answer=("${(@f)$(command bot-bottle __complete zsh "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null </dev/null)}")
  what=$answer[1]
  for line in "${(@)answer[2,-1]}"; do
    name=${line%%$'\t'*}
    names+=("$name")
    if [[ $line == *$'\t'* ]]; then
      shown+=("${(r:20:)name}  ${line#*$'\t'}")
    else
      shown+=("$name")
    fi
  done
  if (( $#names )); then
    local -a how
    [[ $what == *nospace ]] && how=(-S '')
    if [[ ${answer[2]} == *$'\t'* ]]; then
      compadd "${how[@]}" -l -d shown -a names
    else
      compadd "${how[@]}" -a names
    fi
  fi
  case $what in
    files*) compset -P '*='; _files ;;
    directories*) compset -P '*='; _files -/ ;;
  esac
}
if [[ $funcstack[1] == _bot-bottle ]]; then
  _bot-bottle "$@"
elif (( $+functions[compdef] )); then
  compdef _bot-bottle bot-bottle
fi
)";

constexpr std::string_view fish_script = R"(# fish completion of bot-bottle: bot-bottle completion fish | source
function __bot_bottle_words
    set -l words (commandline -opc)
    set -e words[1]
    set -l current (commandline -ct)
    set -l answer (command bot-bottle __complete fish $words "$current" 2>/dev/null </dev/null)
    set -l what $answer[1]
    set -e answer[1]
    string join \n -- $answer
    set -l before (string match -r '^--[^=]*=' -- "$current")
    set -l rest (string replace -r '^--[^=]*=' '' -- "$current")
    switch "$what"
        case 'files*'
            for path in (__fish_complete_path "$rest")
                printf '%s\n' "$before$path"
            end
        case 'directories*'
            for path in (__fish_complete_directories "$rest" '')
                printf '%s\n' "$before$path"
            end
    end
end
complete -c bot-bottle -f -a '(__bot_bottle_words)'
)";

}  // namespace

std::string completion_script(std::string_view shell) {
  if (shell == "bash") return std::string(bash_script);
  if (shell == "zsh") return std::string(zsh_script);
  if (shell == "fish") return std::string(fish_script);
  return {};
}

}  // namespace bot_bottle::cli
