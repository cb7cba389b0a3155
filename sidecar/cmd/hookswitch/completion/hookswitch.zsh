#compdef hookswitch
# Completes the words of hookswitch in zsh: source <(hookswitch completion zsh)

_hookswitch() {
  local line value
  local -a values
  for line in "${(@f)$("${(Q)words[1]/#\~\//$HOME/}" __complete "${(@Q)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}"; do
    value="${line%%$'\t'*}"
    [[ -n "$value" ]] && values+=("${value//:/\\:}:${line#*$'\t'}")
  done
  if (( $#values )); then
    _describe -t values hookswitch values
  else
    _files
  fi
}

if [[ "$funcstack[1]" = _hookswitch ]]; then
  _hookswitch "$@"
else
  compdef _hookswitch hookswitch
fi
