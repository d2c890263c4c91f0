/// What a frame says of versions; SPEC.md §9.
extension JSONReader {
    /// The version that the writer speaks. A later one may say what this version does not know, all of which it bears.
    mutating func readProtocol() throws -> Int64 {
        let version = try readInteger()
        guard version >= 1 else { throw FrameError.protocolVersion(Int(clamping: version)) }
        return version
    }

    /// The least version that the reader must speak: what follows cannot be understood, or only wrongly, by an earlier one.
    mutating func readNeeds() throws {
        let version = try readInteger()
        guard 1...Int64(ProtocolVersion.current) ~= version else {
            throw FrameError.protocolVersion(Int(clamping: version))
        }
    }
}
