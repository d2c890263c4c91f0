import ShoalCRDT

extension SyncRequest {
    /// The compressed body of `POST /v1/sync`; SPEC.md §6.
    public func encoded() throws(FrameError) -> [UInt8] { try FrameError.mapping { try frame().compressed() } }

    /// The body before compression.
    public func json() -> [UInt8] { frame().json.bytes }

    private func frame() -> FrameWriter {
        var frame = FrameWriter()
        frame.json.beginObject()
        frame.json.key("protocol")
        frame.json.integer(Int64(ProtocolVersion.current))
        frame.json.key("epoch")
        frame.json.string(epoch.hexadecimal)
        frame.json.key("cursor")
        frame.json.string(cursor)
        frame.json.key("acknowledgement")
        frame.json.string(acknowledgement)
        frame.json.key("logs")
        frame.json.beginArray()
        for log in logs {
            frame.json.log(log)
        }
        frame.json.endArray()
        if !tail.isEmpty {
            frame.json.key("tail")
            frame.json.beginArray()
            for hash in tail { frame.json.string(hash.hexadecimal) }
            frame.json.endArray()
        }
        if skipped > 0 {
            frame.json.key("skipped")
            frame.json.integer(Int64(skipped))
        }
        if !refused.isEmpty {
            frame.json.key("refused")
            frame.json.verdicts(refused)
        }
        writePlaces(to: &frame.json)
        Erasure.write(erased, to: &frame.json)
        if !wantsPage {
            frame.json.key("page")
            frame.json.bool(false)
        }
        if !operations.isEmpty {
            frame.json.key("operations")
            OperationsCodec.write(operations, to: &frame)
        }
        frame.json.endObject()
        return frame
    }

    /// Reads a body; nothing of a body that is refused can be applied.
    ///
    /// - Parameters:
    ///   - operations: the most operations that the body may have.
    public init(decoding body: [UInt8], operations limit: Int = Limits.operations) throws(FrameError) {
        self = try FrameError.mapping {
            guard body.count <= Limits.body else { throw FrameError.tooLarge(limit: Limits.body) }
            let json = try Deflate.expand(body, limit: Limits.inflated, dictionary: FrameDictionary.bytes)
            return try SyncRequest(json: json, operations: limit)
        }
    }

    /// Reads a body that is not compressed.
    public init(json: [UInt8], operations limit: Int = Limits.operations) throws(FrameError) {
        self = try FrameError.mapping {
            try JSONReader.read(json, depthLimit: Limits.depth) { try SyncRequest(from: &$0, limit: limit) }
        }
    }

    private init(from reader: inout JSONReader, limit: Int) throws {
        var epoch: UInt64?
        var cursor: String?
        var acknowledgement: String?
        var logs: [LogPosition]?
        var operations = Operations()
        var tail: [OperationHash] = []
        var skipped: UInt32 = 0
        var refused: [Verdict] = []
        var earlier = 0
        var proven: [Dot] = []
        var former: [FormerPlace] = []
        var erased: [Erasure] = []
        var wantsPage = true
        var version: Int64?
        try reader.readObject { reader, key in
            switch key {
            case "protocol": version = try reader.readProtocol()
            case "needs": try reader.readNeeds()
            case "epoch": epoch = try reader.readHexadecimal()
            case "cursor": cursor = try reader.readString()
            case "acknowledgement": acknowledgement = try reader.readString()
            case "logs": logs = try Self.readLogs(from: &reader)
            case "tail":
                try reader.readArray { reader in
                    guard tail.count < limit else { throw reader.error(.tooMany(limit: limit)) }
                    tail.append(OperationHash(rawValue: try reader.readHexadecimal()))
                }
            case "skipped": skipped = try reader.readUInt32()
            case "refused": refused = try reader.readVerdicts(limit: limit)
            case "earlier": earlier = Int(try reader.readUInt32())
            case "proven": proven = try Self.readProven(from: &reader)
            case "former": former = try Self.readFormer(from: &reader)
            case "erased": erased = try Erasure.read(from: &reader)
            case "page": wantsPage = try reader.readBool()
            case "operations": operations = try OperationsCodec.read(limit: limit, from: &reader)
            default: try reader.skip()
            }
        }
        guard version != nil else { throw reader.error(.missingKey("protocol")) }
        guard let epoch else { throw reader.error(.missingKey("epoch")) }
        guard let cursor else { throw reader.error(.missingKey("cursor")) }
        guard let acknowledgement else { throw reader.error(.missingKey("acknowledgement")) }
        guard let logs, !logs.isEmpty else { throw reader.error(.missingKey("logs")) }
        guard earlier <= operations.count else { throw reader.error(.invalid("more operations than there are")) }
        self.init(
            epoch: epoch, cursor: cursor, acknowledgement: acknowledgement, logs: logs, operations: operations,
            tail: tail, skipped: skipped, refused: refused, earlier: earlier, proven: proven, former: former,
            wantsPage: wantsPage)
        self.erased = erased
        self.version = Int(clamping: version ?? 0)
    }

    static let mostLogs = 1_024

    private static func readLogs(from reader: inout JSONReader) throws -> [LogPosition] {
        var logs: [LogPosition] = []
        try reader.readArray { reader in
            guard logs.count < mostLogs else { throw reader.error(.tooMany(limit: mostLogs)) }
            logs.append(try reader.readLog())
        }
        return logs
    }
}

extension SyncResponse {
    /// The compressed body of the answer to `POST /v1/sync`; SPEC.md §6.
    public func encoded() throws(FrameError) -> [UInt8] { try FrameError.mapping { try frame().compressed() } }

    /// The body before compression.
    public func json() -> [UInt8] { frame().json.bytes }

    private func frame() -> FrameWriter {
        var frame = FrameWriter()
        frame.json.beginObject()
        if !moves.isEmpty || !erased.isEmpty {
            // Whoever does not know what this says would keep what is not for it any more.
            frame.json.key("needs")
            frame.json.integer(Int64(ProtocolVersion.ofVisibility))
        }
        frame.json.key("push")
        push.write(to: &frame.json)
        if let log {
            frame.json.key("log")
            frame.json.integer(Int64(log.rawValue))
        }
        if let epoch {
            frame.json.key("epoch")
            frame.json.string(epoch.hexadecimal)
        }
        frame.json.key("from")
        frame.json.string(from)
        frame.json.key("cursor")
        frame.json.string(cursor)
        frame.json.key("more")
        frame.json.bool(more)
        frame.json.key("fill")
        frame.json.bool(isFill)
        if beginsFill {
            frame.json.key("begins")
            frame.json.bool(true)
        }
        frame.json.key("positions")
        frame.json.beginArray()
        for dot in positions { frame.json.dot(dot) }
        frame.json.endArray()
        if !checks.isEmpty { LogCheck.write(checks, to: &frame.json) }
        frame.json.key("time")
        frame.json.integer(time)
        moves.write(to: &frame.json)
        Erasure.write(erased, to: &frame.json)
        frame.json.lease(lease)
        if !page.isEmpty {
            frame.json.key("page")
            PageCodec.write(page, to: &frame)
        }
        writeRecovery(to: &frame.json)
        frame.json.endObject()
        return frame
    }

    public init(decoding body: [UInt8]) throws(FrameError) {
        self = try FrameError.mapping {
            let json = try Deflate.expand(body, limit: Limits.inflated, dictionary: FrameDictionary.bytes)
            return try SyncResponse(json: json)
        }
    }

    /// Reads a body that is not compressed.
    public init(json: [UInt8]) throws(FrameError) {
        self = try FrameError.mapping {
            try JSONReader.read(json, depthLimit: Limits.depth) { try SyncResponse(from: &$0) }
        }
    }

    private init(from reader: inout JSONReader) throws {
        var push: PushAnswer?
        var log: ReplicaID?
        var epoch: UInt64?
        var from: String?
        var cursor: String?
        var more: Bool?
        var isFill: Bool?
        var beginsFill = false
        var positions: [Dot] = []
        var checks: [LogCheck] = []
        var time: Int64?
        var page = RecordPage()
        var moves = ScopeMoves()
        var erased: [Erasure] = []
        var recovery = RecoveryMembers()
        var lease: Int?
        try reader.readObject { reader, key in
            switch key {
            case "needs": try reader.readNeeds()
            case "push": push = try PushAnswer(from: &reader)
            case "log": log = ReplicaID(rawValue: try reader.readUInt32())
            case "epoch": epoch = try reader.readHexadecimal()
            case "from": from = try reader.readString()
            case "cursor": cursor = try reader.readString()
            case "more": more = try reader.readBool()
            case "fill": isFill = try reader.readBool()
            case "begins": beginsFill = try reader.readBool()
            case "positions": try reader.readArray { positions.append(try $0.readDot()) }
            case "checks": checks = try LogCheck.read(from: &reader)
            case "time": time = try reader.readInteger()
            case "left": moves.left = try ScopeMoves.read(from: &reader)
            case "entered": moves.entered = try ScopeMoves.read(from: &reader)
            case "erased": erased = try Erasure.read(from: &reader)
            case "lease": lease = try reader.readLease()
            case "page": page = try PageCodec.read(from: &reader)
            case "open": try recovery.readOpen(&reader)
            case "recovery": recovery.isWanted = try reader.readBool()
            default: try reader.skip()
            }
        }
        guard let push else { throw reader.error(.missingKey("push")) }
        guard let from else { throw reader.error(.missingKey("from")) }
        guard let cursor else { throw reader.error(.missingKey("cursor")) }
        guard let more else { throw reader.error(.missingKey("more")) }
        guard let isFill else { throw reader.error(.missingKey("fill")) }
        guard let time else { throw reader.error(.missingKey("time")) }
        guard checks.isEmpty || checks.count == positions.count else {
            throw reader.error(.invalid("not a check for each position"))
        }
        self.init(
            push: push, from: from, page: try recovery.applied(to: page, reader), cursor: cursor, more: more,
            isFill: isFill, positions: positions, time: time, recovery: recovery.isWanted)
        self.checks = checks
        self.log = log
        self.epoch = epoch
        self.beginsFill = beginsFill
        self.moves = moves
        self.erased = erased
        self.lease = lease
    }
}

extension PushAnswer {
    fileprivate func write(to json: inout JSONWriter) {
        json.beginObject()
        switch self {
        case .taken(let upTo, let acknowledgement, let verdicts):
            json.taken(upTo, acknowledgement, verdicts)
        case .identifierTaken(let number, let upTo, let acknowledgement, let verdicts):
            json.taken(upTo, acknowledgement, verdicts)
            json.key("identifierTaken")
            json.integer(Int64(number))
        case .fork(let fork): fork.write(to: &json)
        case .rollback(let rollback): rollback.write(to: &json)
        }
        json.endObject()
    }

    fileprivate init(from reader: inout JSONReader) throws {
        var taken: UInt32?
        var acknowledgement: String?
        var verdicts: [Verdict] = []
        var identifierTaken: UInt32?
        var answer: PushAnswer?
        try reader.readObject { reader, key in
            switch key {
            case "taken": taken = try reader.readUInt32()
            case "acknowledgement": acknowledgement = try reader.readString()
            case "verdicts": verdicts = try reader.readVerdicts()
            case "identifierTaken": identifierTaken = try reader.readUInt32()
            case "fork", "rollback":
                guard answer == nil else { throw reader.error(.invalid("a fork and a rollback at once")) }
                answer =
                    key == "fork"
                    ? .fork(try PushAnswer.Fork(from: &reader)) : .rollback(try PushAnswer.Rollback(from: &reader))
            default: try reader.skip()
            }
        }
        if let answer {
            guard taken == nil, identifierTaken == nil else { throw reader.error(.invalid("two answers at once")) }
            self = answer
        } else if let taken, let acknowledgement, let identifierTaken {
            self = .identifierTaken(
                number: identifierTaken, upTo: taken, acknowledgement: acknowledgement, verdicts: verdicts)
        } else if let taken, let acknowledgement {
            self = .taken(upTo: taken, acknowledgement: acknowledgement, verdicts: verdicts)
        } else {
            throw reader.error(.missingKey("taken"))
        }
    }
}

extension JSONWriter {
    fileprivate mutating func taken(_ upTo: UInt32, _ acknowledgement: String, _ verdicts: [Verdict]) {
        key("taken")
        integer(Int64(upTo))
        key("acknowledgement")
        string(acknowledgement)
        key("verdicts")
        self.verdicts(verdicts)
    }

    fileprivate mutating func verdicts(_ verdicts: [Verdict]) {
        beginArray()
        for verdict in verdicts {
            beginArray()
            integer(Int64(verdict.number))
            string(verdict.reason.rawValue)
            endArray()
        }
        endArray()
    }

    mutating func log(_ log: LogPosition) {
        beginArray()
        integer(Int64(log.replica.rawValue))
        integer(Int64(log.position))
        string(log.hash.hexadecimal)
        integer(Int64(log.end))
        endArray()
    }

    mutating func dot(_ dot: Dot) {
        beginArray()
        integer(Int64(dot.replica.rawValue))
        integer(Int64(dot.number))
        endArray()
    }
}

extension JSONReader {
    mutating func readHexadecimal() throws -> UInt64 {
        guard let value = UInt64(hexadecimal: try readString()) else {
            throw error(.invalid("not 16 digits of base 16"))
        }
        return value
    }

    mutating func readLog() throws -> LogPosition {
        var part = 0
        var log = LogPosition(replica: ReplicaID(rawValue: 0), position: 0, hash: .start, end: 0)
        try readArray { reader in
            switch part {
            case 0: log.replica = ReplicaID(rawValue: try reader.readUInt32())
            case 1: log.position = try reader.readUInt32()
            case 2: log.hash = OperationHash(rawValue: try reader.readHexadecimal())
            case 3: log.end = try reader.readUInt32()
            default: throw reader.error(.tooMany(limit: 4))
            }
            part += 1
        }
        guard part == 4, log.position <= log.end else { throw error(.invalid("not a log position")) }
        return log
    }

    /// A reason of a later version is still a refusal, and so is what is no reason.
    mutating func readReason() throws -> RefusalReason { RefusalReason(rawValue: try readString()) ?? .malformed }

    fileprivate mutating func readVerdicts(limit: Int = .max) throws -> [Verdict] {
        var verdicts: [Verdict] = []
        try readArray { reader in
            guard verdicts.count < limit else { throw reader.error(.tooMany(limit: limit)) }
            var number: UInt32?
            var reason: RefusalReason?
            try reader.readArray { reader in
                guard reason == nil else { throw reader.error(.tooMany(limit: 2)) }
                if number == nil { number = try reader.readUInt32() } else { reason = try reader.readReason() }
            }
            guard let number, let reason else { throw reader.error(.invalid("not a verdict")) }
            verdicts.append(Verdict(number: number, reason: reason))
        }
        return verdicts
    }

    mutating func readDot() throws -> Dot {
        var numbers: [UInt32] = []
        try readArray { reader in
            guard numbers.count < 2 else { throw reader.error(.tooMany(limit: 2)) }
            numbers.append(try reader.readUInt32())
        }
        guard numbers.count == 2 else { throw error(.invalid("not a dot")) }
        return Dot(ReplicaID(rawValue: numbers[0]), numbers[1])
    }
}
