import ShoalCRDT
import ShoalProtocol

/// The protocol one version ahead, as far as this version must bear it (SPEC.md §9): what its programs say in frames, and
/// the kinds, fields, cell types and operations that they write.
public enum LaterVersion {
    public static let number = ProtocolVersion.current + 1

    /// A kind of record in the scope of a customer, and one of the workspace.
    public static let visit = Kind(rawValue: 300)
    public static let campaign = Kind(rawValue: 301)

    /// Registers, by shape of key, and an add-wins element.
    public static let budget = Field(rawValue: 4_100)
    public static let preference = Field(rawValue: 4_101)
    public static let interest = Field(rawValue: 4_102)
    /// A cell of a type of its own: each operation leaves a value beside the others.
    public static let script = Field(rawValue: 4_103)
    public static let visits = Field(rawValue: 4_104)

    /// Cell types: values that merge as only this version knows.
    public static let run: ValueKind = .foreign7
    public static let rights: ValueKind = .foreign12

    /// A kind of operation.
    public static let operation = RecordID(rawValue: 12)

    /// A frame as a program of this version says it: with its number, and with members that the version before does not
    /// know in every object that may have them.
    ///
    /// - Parameter body: a request or an answer to sync, relay, digest or enrol, compressed or not.
    /// - Returns: the same, compressed as it was.
    public static func spoken(_ body: [UInt8]) throws -> [UInt8] {
        if body.first == UInt8(ascii: "{") { return try extended(body[...], isFrame: true) }
        let json = try Deflate.expand(body, limit: Limits.inflated, dictionary: FrameDictionary.bytes)
        return try Deflate.compress(try extended(json[...], isFrame: true), dictionary: FrameDictionary.bytes)
    }

    /// A reason of this version, said where the one before says `forbidden`.
    public static let reason = "not-in-this-shop"

    /// The objects in a frame that may have members of later versions: SPEC.md §6.4.
    private static let open: Set<String> = ["push", "fork", "rollback"]

    private static func extended(_ object: ArraySlice<UInt8>, isFrame: Bool) throws -> [UInt8] {
        let bytes = Array(object)
        var json = JSONWriter()
        json.beginObject()
        if isFrame {
            json.key("protocol")
            json.integer(Int64(number))
            json.key("needs")
            json.integer(Int64(ProtocolVersion.current))
        }
        json.key("later")
        json.raw(Array(#"{"protocol":[{"needs":9},"页",-1.5e3],"page":null,"more":"no"}"#.utf8)[...])
        try JSONReader.read(bytes, depthLimit: Limits.depth) { reader in
            try reader.readObject { reader, key in
                let value = bytes[try reader.readRaw()]
                let name = key.string
                if name == "protocol" { return }
                json.key(bytes: Array(name.utf8)[...])
                if name == "verdicts" {
                    let words = String(decoding: value, as: UTF8.self).replacing("forbidden", with: reason)
                    json.raw(Array(words.utf8)[...])
                } else {
                    json.raw(open.contains(name) ? try extended(value, isFrame: false)[...] : value)
                }
            }
        }
        json.key("afterwards")
        json.bool(true)
        json.endObject()
        return json.bytes
    }
}
