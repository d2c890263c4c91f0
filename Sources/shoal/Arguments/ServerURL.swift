/// The address of a server as typed.
enum ServerURL {
    /// Whether it is `http://` or `https://`, a host, perhaps a port from 1 to 65535, and perhaps a path.
    static func isValid(_ text: String) -> Bool {
        let lower = text.lowercased()
        guard let scheme = ["https://", "http://"].first(where: lower.hasPrefix) else { return false }
        let rest = lower.dropFirst(scheme.count)
        let isPlain = rest.unicodeScalars.allSatisfy {
            $0.value > 0x20 && $0.value != 0x7F && !"?#@\\".unicodeScalars.contains($0)
        }
        guard isPlain else { return false }
        let authority = rest.prefix { $0 != "/" }
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { return false }
            let address = authority[..<end].dropFirst()
            return address.contains(":") && address.allSatisfy { $0.isHexDigit || $0 == ":" || $0 == "." }
                && isPort(authority[authority.index(after: end)...])
        }
        let host = authority.prefix { $0 != ":" }
        return !host.isEmpty && !host.contains("]") && isPort(authority[host.endIndex...])
    }

    /// Nothing, or a colon and a port.
    private static func isPort(_ text: Substring) -> Bool {
        if text.isEmpty { return true }
        let digits = text.dropFirst()
        return text.hasPrefix(":") && digits.allSatisfy { ("0"..."9").contains($0) } && UInt16(digits) ?? 0 > 0
    }
}
