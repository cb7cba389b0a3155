# Completes the words of hookswitch in fish:
# hookswitch completion fish > ~/.config/fish/completions/hookswitch.fish

function __hookswitch_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program $words[1]
    set -e words[1]
    set -l found ($program __complete $words "$current" 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path "$current"
    end
end

complete -c hookswitch -e
complete -c hookswitch -f -a '(__hookswitch_complete)'
