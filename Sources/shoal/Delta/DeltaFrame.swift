import ShoalCRDT
import ShoalProtocol

/// A frame of the sync exchange read from a file.
enum DeltaFrame {
    case request(SyncRequest)
    case response(SyncResponse)

    /// - Throws: `Failure.failed` with where and why if the bytes are neither.
    init(_ bytes: [UInt8], name: String) throws {
        let isJSON = bytes.first { ![0x09, 0x0A, 0x0D, 0x20].contains($0) } == UInt8(ascii: "{")
        let asRequest: FrameError
        do {
            self = .request(try isJSON ? SyncRequest(json: bytes) : SyncRequest(decoding: bytes))
            return
        } catch { asRequest = error }
        do { self = .response(try isJSON ? SyncResponse(json: bytes) : SyncResponse(decoding: bytes)) } catch {
            // Neither can be read when the compression or the JSON is broken: then both say the same.
            throw Failure.failed(
                asRequest == error
                    ? "\(name) is not a frame: \(error)"
                    : "\(name) is neither a request (\(asRequest)) nor an answer (\(error))")
        }
    }

    var json: [UInt8] {
        switch self {
        case .request(let request): request.json()
        case .response(let response): response.json()
        }
    }

    func print(to screen: inout Screen, stored: Int) {
        let size = "\(Format.bytes(stored)) in the file, \(Format.bytes(json.count)) as JSON"
        switch self {
        case .request(let request):
            screen.line(.bold("request"), .dim("  \(size)"))
            request.print(to: &screen)
        case .response(let response):
            screen.line(.bold("answer"), .dim("  \(size)"))
            response.print(to: &screen)
        }
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
