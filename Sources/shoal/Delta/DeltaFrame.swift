import ShoalCRDT
import ShoalProtocol

/// A frame of an exchange with the server, read from a file.
struct DeltaFrame {
    private let title: String
    /// The frame as plain JSON.
    let json: [UInt8]
    private let words: (inout Screen) -> Void

    /// - Throws: `Failure.failed` with where and why if the bytes are no frame.
    init(_ bytes: [UInt8], name: String) throws {
        let isJSON = bytes.first { ![0x09, 0x0A, 0x0D, 0x20].contains($0) } == UInt8(ascii: "{")
        var errors: [(String, FrameError)] = []
        for read in [Self.sync, Self.relay, Self.digest] {
            for (title, frame) in read(bytes, isJSON) {
                switch frame {
                case .success(let (json, words)):
                    (self.title, self.json, self.words) = (title, json, words)
                    return
                case .failure(let error): errors.append((title, error))
                }
            }
        }
        // None can be read when the compression or the JSON is broken: then all say the same.
        guard let (_, first) = errors.first, errors.contains(where: { $0.1 != first }) else {
            throw Failure.failed("\(name) is not a frame: \(errors.first?.1.description ?? "")")
        }
        throw Failure.failed(
            "\(name) is no frame: as a " + errors.prefix(2).map { "\($0) \($1)" }.joined(separator: "; as an "))
    }

    func print(to screen: inout Screen, stored: Int) {
        let size = "\(Format.bytes(stored)) in the file, \(Format.bytes(json.count)) as JSON"
        screen.line(.bold(title), .dim("  \(size)"))
        words(&screen)
    }

    private typealias Read = Result<([UInt8], (inout Screen) -> Void), FrameError>

    private static func read<Frame>(
        _ body: () throws(FrameError) -> Frame, _ json: (Frame) -> [UInt8],
        _ words: @escaping (Frame, inout Screen) -> Void
    ) -> Read {
        do throws(FrameError) {
            let frame = try body()
            return .success((json(frame), { words(frame, &$0) }))
        } catch { return .failure(error) }
    }

    private static func sync(_ bytes: [UInt8], _ isJSON: Bool) -> [(String, Read)] {
        [
            (
                "request",
                read(
                    { () throws(FrameError) in try isJSON ? SyncRequest(json: bytes) : SyncRequest(decoding: bytes) },
                    { $0.json() }, { $0.print(to: &$1) })
            ),
            (
                "answer",
                read(
                    { () throws(FrameError) in try isJSON ? SyncResponse(json: bytes) : SyncResponse(decoding: bytes) },
                    { $0.json() }, { $0.print(to: &$1) })
            ),
        ]
    }

    private static func relay(_ bytes: [UInt8], _ isJSON: Bool) -> [(String, Read)] {
        [
            (
                "relay",
                read(
                    { () throws(FrameError) in try isJSON ? RelayRequest(json: bytes) : RelayRequest(decoding: bytes) },
                    { $0.json() }, { $0.print(to: &$1) })
            ),
            (
                "answer to a relay",
                read(
                    { () throws(FrameError) in try RelayResponse(decoding: bytes) }, { $0.encoded() },
                    { $0.print(to: &$1) })
            ),
        ]
    }

    private static func digest(_ bytes: [UInt8], _ isJSON: Bool) -> [(String, Read)] {
        [
            (
                "comparison",
                read(
                    { () throws(FrameError) in
                        try isJSON ? DigestRequest(json: bytes) : DigestRequest(decoding: bytes)
                    }, { $0.json() }, { $0.print(to: &$1) })
            ),
            (
                "answer to a comparison",
                read(
                    { () throws(FrameError) in
                        try isJSON ? DigestResponse(json: bytes) : DigestResponse(decoding: bytes)
                    }, { $0.json() }, { $0.print(to: &$1) })
            ),
        ]
    }
}

/// How the parts of a frame are spelled.
enum Spell {
    static func replica(_ id: ReplicaID) -> String { Format.hexadecimal(id.rawValue) }

    static func dot(_ dot: Dot) -> String { "\(replica(dot.replica)):\(dot.number)" }

    static func dots(_ dots: some Collection<Dot>) -> String { dots.map { dot($0) }.joined(separator: " ") }

    static func scope(_ scope: Scope) -> String {
        switch scope {
        case .workspace: "of the workspace"
        case .account(let id): "of account \(id)"
        case .customer(let id): "of customer \(id)"
        case .pair(let one, let other): "of customers \(one) and \(other)"
        }
    }

    /// What a record is, its identifier, and to whom it belongs unless that is itself.
    static func record(_ id: RecordID, _ envelope: Envelope) -> String {
        let kind = envelope.kind == .none ? "record" : Schema.name(of: envelope.kind)
        return envelope.scope == .customer(id) ? "\(kind) \(id)" : "\(kind) \(id) \(scope(envelope.scope))"
    }

    static func opaque(_ text: String) -> String { text.isEmpty ? "none" : text }

    static func key(_ key: CellKey, _ arena: [UInt8]) -> String {
        let name = Schema.name(of: key.field)
        switch key.elementKind {
        case .none: return name
        case .id:
            // A replica is an element by its number.
            if Schema.field(key.field)?.element == .replica {
                return "\(name) \(Format.hexadecimal(UInt32(truncatingIfNeeded: key.elementID.rawValue)))"
            }
            return "\(name) \(key.elementID)"
        case .text: return text(key.elementSlice, arena)
        }
    }

    static func value(
        _ kind: ValueKind, of field: Field, integer: Int64, slice: @autoclosure () -> Slice, _ arena: [UInt8]
    ) -> String {
        switch kind {
        case .integer where field == .tagGroup && integer > 0: "= \(RecordID(rawValue: integer))"
        case .present: "is there"
        case .absent: "is not there"
        case .text: "= \"\(text(slice(), arena))\""
        case .integer: "= \(integer)"
        case .count: "+ \(integer)"
        case .json: "= \(text(slice(), arena)) (of a newer version)"
        case .textChange: "changed by \(text(slice(), arena))"
        case _ where kind.isForeign: "= \(text(slice(), arena)) (of cell type \(kind.rawValue) of a newer version)"
        case .deadAhead: "superseded before it came"
        case .coveredAhead: "deleted before it came"
        case .emptied: "is empty"
        default: ""
        }
    }

    private static func text(_ slice: Slice, _ arena: [UInt8]) -> String {
        slice.range.upperBound <= arena.count ? String(decoding: arena[slice.range], as: UTF8.self) : "?"
    }
}
