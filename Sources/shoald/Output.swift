import ShoalTerminal

/// Prints a line. In this program it stands in the place of the standard library's, so that nothing is printed that is not
/// harmless to a terminal.
func print(_ line: String) { Swift.print(TerminalText.line(line)) }

/// Prints text of several lines, such as the help.
func print(lines: String) { Swift.print(TerminalText.lines(lines)) }
