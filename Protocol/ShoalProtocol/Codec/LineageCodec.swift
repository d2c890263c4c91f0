import ShoalCRDT

// The answers to a log that does not continue the server's; SPEC.md §3.3–3.5 and §6.4.

extension SyncRequest {
    /// What is said of places in earlier epochs; SPEC.md §3.5.
    func writePlaces(to json: inout JSONWriter) {
        if earlier > 0 {
            json.key("earlier")
            json.integer(Int64(earlier))
        }
        if !proven.isEmpty {
            json.key("proven")
            json.beginArray()
            for dot in proven { json.dot(dot) }
            json.endArray()
        }
        if former.isEmpty { return }
        json.key("former")
        json.beginArray()
        for place in former {
            json.beginArray()
            for number in [place.was.replica.rawValue, place.was.number, place.now.replica.rawValue, place.now.number] {
                json.integer(Int64(number))
            }
            json.integer(Int64(place.count))
            json.bool(place.isProven)
            json.endArray()
        }
        json.endArray()
    }

    static func readProven(from reader: inout JSONReader) throws -> [Dot] {
        var proven: [Dot] = []
        try reader.readArray { reader in
            guard proven.count < mostLogs else { throw reader.error(.tooMany(limit: mostLogs)) }
            proven.append(try reader.readDot())
        }
        return proven
    }

    static func readFormer(from reader: inout JSONReader) throws -> [FormerPlace] {
        var former: [FormerPlace] = []
        try reader.readArray { reader in
            guard former.count < Limits.formerPlaces else {
                throw reader.error(.tooMany(limit: Limits.formerPlaces))
            }
            var numbers: [UInt32] = []
            var isProven: Bool?
            try reader.readArray { reader in
                guard isProven == nil else { throw reader.error(.tooMany(limit: 6)) }
                if numbers.count < 5 {
                    numbers.append(try reader.readUInt32())
                } else {
                    isProven = try reader.readBool()
                }
            }
            guard let isProven, numbers.count == 5, numbers[1] > 0, numbers[3] > 0, numbers[4] > 0,
                UInt32.max - numbers[1] >= numbers[4], UInt32.max - numbers[3] >= numbers[4]
            else { throw reader.error(.invalid("not a run of places")) }
            former.append(
                FormerPlace(
                    was: Dot(ReplicaID(rawValue: numbers[0]), numbers[1]),
                    now: Dot(ReplicaID(rawValue: numbers[2]), numbers[3]), count: numbers[4],
                    isProven: isProven))
        }
        return former
    }
}

extension PushAnswer.Fork {
    func write(to json: inout JSONWriter) {
        json.key("fork")
        json.beginObject()
        json.key("of")
        json.log(of)
        if let replica {
            json.key("replica")
            json.integer(Int64(replica.rawValue))
        }
        if skipped > 0 {
            json.key("skipped")
            json.integer(Int64(skipped))
        }
        if !acknowledgement.isEmpty {
            json.key("acknowledgement")
            json.string(acknowledgement)
        }
        json.key("known")
        json.beginArray()
        for operation in known {
            json.beginArray()
            json.integer(Int64(operation.dot.replica.rawValue))
            json.integer(Int64(operation.dot.number))
            if let reason = operation.reason {
                json.string(reason.rawValue)
            } else if operation.record != nil {
                json.string("")
            }
            if let record = operation.record { json.string(record.description) }
            json.endArray()
        }
        json.endArray()
        json.endObject()
    }

    init(from reader: inout JSONReader) throws {
        var of: LogPosition?
        var replica: ReplicaID?
        var known: [KnownOperation] = []
        var acknowledgement = ""
        var skipped: UInt32 = 0
        try reader.readObject { reader, key in
            switch key {
            case "of": of = try reader.readLog()
            case "acknowledgement": acknowledgement = try reader.readString()
            case "skipped": skipped = try reader.readUInt32()
            case "replica": replica = ReplicaID(rawValue: try reader.readUInt32())
            case "known": try reader.readArray { known.append(try KnownOperation(from: &$0)) }
            default: try reader.skip()
            }
        }
        guard let of else { throw reader.error(.missingKey("of")) }
        self.init(of: of, replica: replica, known: known, acknowledgement: acknowledgement, skipped: skipped)
    }
}

extension KnownOperation {
    fileprivate init(from reader: inout JSONReader) throws {
        var numbers: [UInt32] = []
        var texts: [String] = []
        try reader.readArray { reader in
            guard texts.count < 2 else { throw reader.error(.tooMany(limit: 4)) }
            if numbers.count < 2 {
                numbers.append(try reader.readUInt32())
            } else {
                texts.append(try reader.readString())
            }
        }
        guard numbers.count == 2, numbers[1] > 0 else { throw reader.error(.invalid("not a dot")) }
        self.init(dot: Dot(ReplicaID(rawValue: numbers[0]), numbers[1]), reason: nil)
        // A reason of a later version is still a refusal, and so is what is no reason.
        if let text = texts.first, !text.isEmpty { reason = RefusalReason(rawValue: text) ?? .malformed }
        if texts.count == 2 {
            guard let id = RecordID(text: texts[1]) else { throw reader.error(.invalid("not an identifier")) }
            record = id
        }
    }
}

extension PushAnswer.Rollback {
    func write(to json: inout JSONWriter) {
        json.key("rollback")
        json.beginObject()
        json.key("of")
        json.string(of.hexadecimal)
        json.key("epoch")
        json.string(epoch.hexadecimal)
        json.key("replica")
        json.integer(Int64(replica.rawValue))
        json.key("acknowledgement")
        json.string(acknowledgement)
        json.key("logs")
        json.beginArray()
        for log in logs {
            json.beginArray()
            json.integer(Int64(log.replica.rawValue))
            json.integer(Int64(log.position))
            json.string(log.hash.hexadecimal)
            json.endArray()
        }
        json.endArray()
        json.endObject()
    }

    init(from reader: inout JSONReader) throws {
        var of: UInt64?
        var epoch: UInt64?
        var replica: ReplicaID?
        var acknowledgement: String?
        var logs: [PushAnswer.Standing] = []
        try reader.readObject { reader, key in
            switch key {
            case "of": of = try reader.readHexadecimal()
            case "epoch": epoch = try reader.readHexadecimal()
            case "replica": replica = ReplicaID(rawValue: try reader.readUInt32())
            case "acknowledgement": acknowledgement = try reader.readString()
            case "logs": try reader.readArray { logs.append(try PushAnswer.Standing(from: &$0)) }
            default: try reader.skip()
            }
        }
        guard let of else { throw reader.error(.missingKey("of")) }
        guard let epoch else { throw reader.error(.missingKey("epoch")) }
        guard let replica else { throw reader.error(.missingKey("replica")) }
        guard let acknowledgement else { throw reader.error(.missingKey("acknowledgement")) }
        self.init(of: of, epoch: epoch, replica: replica, acknowledgement: acknowledgement, logs: logs)
    }
}

extension PushAnswer.Standing {
    fileprivate init(from reader: inout JSONReader) throws {
        var part = 0
        self.init(replica: ReplicaID(rawValue: 0), position: 0, hash: .start)
        var standing = self
        try reader.readArray { reader in
            switch part {
            case 0: standing.replica = ReplicaID(rawValue: try reader.readUInt32())
            case 1: standing.position = try reader.readUInt32()
            case 2: standing.hash = OperationHash(rawValue: try reader.readHexadecimal())
            default: throw reader.error(.tooMany(limit: 3))
            }
            part += 1
        }
        guard part == 3 else { throw reader.error(.invalid("not the standing of a log")) }
        self = standing
    }
}
