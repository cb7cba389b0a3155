# Completes the words of hookswitch in bash: source <(hookswitch completion bash)

_hookswitch() {
  local i word before cur program line value typed="" rest="${COMP_LINE:0:COMP_POINT}"
  local -a words=()
  # The words as they were typed: bash splits them at ":" and "=", too.
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word="${COMP_WORDS[i]}"
    if ((i < COMP_CWORD)); then
      before="${rest%%"$word"*}"
    else
      before="${rest%%[![:space:]]*}"
      word="${rest:${#before}}"
    fi
    rest="${rest:$((${#before} + ${#word}))}"
    if ((i > 0)) && [[ -z "$before" ]]; then
      words[${#words[@]}-1]+="$word"
    else
      words+=("$word")
    fi
  done
  cur="${words[${#words[@]}-1]}"
  if [[ "$cur" == [\"\']* ]]; then
    cur="${cur:1}"
  elif [[ "$COMP_WORDBREAKS" == *[:=]* ]]; then
    typed="${cur%"${cur##*[:=]}"}" # bash replaces only what comes after it
  fi
  words[${#words[@]}-1]="$cur"
  program="${words[0]/#~\//$HOME/}"
  COMPREPLY=()
  while IFS= read -r line; do
    value="${line%%$'\t'*}"
    [[ "$value" == *= ]] && compopt -o nospace 2>/dev/null
    COMPREPLY+=("${value#"$typed"}")
  done < <("$program" __complete "${words[@]:1}" 2>/dev/null)
}

complete -o bashdefault -o default -F _hookswitch hookswitch
