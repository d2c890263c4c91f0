import ShoalProtocol

/// What a home trusts its server by, beyond what the system does; remembered with the home.
public struct ServerTrust: Sendable, Equatable {
    /// Whether requests may travel readable to a host that is not this machine.
    public var allowsPlaintext: Bool
    /// Certificates, in PEM, of authorities that are trusted besides the system's; empty for none.
    public var authorities: String

    public init(allowsPlaintext: Bool = false, authorities: String = "") {
        self.allowsPlaintext = allowsPlaintext
        self.authorities = authorities
    }

    /// The certificates one by one, each as the bytes of its PEM.
    var certificates: [[UInt8]] {
        let end = "-----END CERTIFICATE-----"
        return authorities.split(separator: end, omittingEmptySubsequences: true)
            .filter { $0.contains("-----BEGIN CERTIFICATE-----") }
            .map { Array("\($0)\(end)\n".utf8) }
    }

    /// Refuses a URL over which everything would travel readable.
    ///
    /// - Throws: `TransportError.plaintext`.
    public func check(_ url: String) throws(TransportError) {
        guard !allowsPlaintext, url.lowercased().hasPrefix("http://") else { return }
        let authority = url.dropFirst("http://".count).prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        if !Self.isThisMachine(authority) { throw .plaintext(String(authority)) }
    }

    /// Whether the authority of a URL names this machine, whatever a resolver says.
    private static func isThisMachine(_ authority: Substring) -> Bool {
        if authority.hasPrefix("[") { return authority.prefix { $0 != "]" } == "[::1" }
        if authority.contains("@") { return false }
        let host = authority.prefix { $0 != ":" }.lowercased()
        if host == "localhost" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts.first == "127" && parts.allSatisfy { UInt8($0) != nil }
    }
}
