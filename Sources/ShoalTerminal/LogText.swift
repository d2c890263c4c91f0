/// Makes a value fit for a line of `key=value`: whatever it holds, it is one value on one line.
public enum LogText {
    /// The value as it is if nobody can mistake it, else in quotes, with `\"`, `\\` and `\u{…}` for what is not shown.
    public static func value(_ text: String) -> String {
        var visible = VisibleText()
        var escaped = String.UnicodeScalarView()
        var isPlain = !text.isEmpty
        for scalar in text.unicodeScalars {
            let isShown = visible.shows(scalar)
            switch scalar {
            case "\"", "\\":
                escaped.append("\\")
                escaped.append(scalar)
                isPlain = false
            case _ where !isShown:
                escaped.append(contentsOf: "\\u{\(String(scalar.value, radix: 16))}".unicodeScalars)
                isPlain = false
            default:
                escaped.append(scalar)
                if scalar == "=" || scalar.properties.isWhitespace { isPlain = false }
            }
        }
        return isPlain ? text : "\"\(String(escaped))\""
    }
}
