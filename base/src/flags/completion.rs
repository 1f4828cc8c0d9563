//! Completion for bash, from the tables: commands, flags, and for operands what the program itself
//! lists.

use super::help::wants_value;
use super::{Flags, Program};
use crate::text::part::contains;

impl Program {
    /// A script to be read by bash.
    pub fn completion(&self) -> String {
        let n = self.name;
        let commands: Vec<&str> = self.commands().map(|command| command.name).collect();
        let mut out = [
            "_",
            n,
            "() {\n  local cur=${COMP_WORDS[COMP_CWORD]} cmd= words= i\n",
            "  for ((i = 1; i < COMP_CWORD; i++)); do\n    case ${COMP_WORDS[i]} in\n      ",
            &values(self.global_flags()),
            "i=$((i + 1)) ;;\n      -*) ;;\n",
            "      *) cmd=${COMP_WORDS[i]}; break ;;\n    esac\n  done\n  case $cmd in\n",
            "    '') words='",
            &names(self.global_flags()),
            " ",
            &commands.join(" "),
            "' ;;\n",
        ]
        .concat();
        for command in self.commands() {
            let operands = match command.usage {
                usage if contains(usage, "CONTAINER") => {
                    "$(\"${COMP_WORDS[0]}\" ps -aq 2>/dev/null)"
                }
                usage if contains(usage, "IMAGE") => {
                    "$(\"${COMP_WORDS[0]}\" images 2>/dev/null | awk 'NR > 1 { print $1 \":\" $2 }')"
                }
                _ => "",
            };
            for part in ["    ", command.name, ") words='", &names(command.all_flags()), "'"] {
                out.push_str(part);
            }
            if !operands.is_empty() {
                for part in ["\n      [[ $cur == -* ]] || words=", operands] {
                    out.push_str(part);
                }
            }
            out.push_str(" ;;\n");
        }
        for part in [
            "  esac\n  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n",
            "  [[ $words$cur == *[^-]* && -z ${COMPREPLY[*]} && $cur != -* ]] &&",
            " COMPREPLY=($(compgen -f -- \"$cur\"))\n}\ncomplete -F _",
            n,
            " ",
            n,
            "\n",
        ] {
            out.push_str(part);
        }
        out
    }
}

/// `--a --b --c`
fn names(flags: Flags) -> String {
    let mut out = String::from("--help");
    for flag in flags.shown() {
        out.push_str(" --");
        out.push_str(flag.long);
    }
    out
}

/// The pattern of the flags whose value is the next word.
fn values(flags: Flags) -> String {
    let mut out = String::new();
    for flag in flags.shown().into_iter().filter(|flag| wants_value(flag)) {
        if !out.is_empty() {
            out.push('|');
        }
        out.push_str("--");
        out.push_str(flag.long);
        if flag.short != 0 {
            out.push_str("|-");
            out.push(char::from(flag.short));
        }
    }
    out.push_str(") ");
    out
}
