import ShoalCRDT

extension EnrollRequest {
    /// The body of `POST /v1/enroll`: plain JSON.
    public func encoded() -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("protocol")
        json.integer(Int64(ProtocolVersion.current))
        json.key("code")
        json.string(code)
        json.key("key")
        json.string(key)
        if let former {
            json.key("former")
            json.string(former.description)
        }
        if let name {
            json.key("name")
            json.string(name)
        }
        if let device {
            json.key("device")
            json.string(device)
        }
        json.endObject()
        return json.bytes
    }

    public init(decoding body: [UInt8]) throws(FrameError) {
        self = try FrameError.mapping {
            try JSONReader.read(body, depthLimit: Limits.depth) { reader in
                var version: Int64?
                var code: String?
                var key: String?
                var former: RecordID?
                var name: String?
                var device: String?
                try reader.readObject { reader, member in
                    switch member {
                    case "protocol": version = try reader.readProtocol()
                    case "needs": try reader.readNeeds()
                    case "code": code = try reader.readString()
                    case "key": key = try reader.readString()
                    case "former":
                        former = RecordID(text: try reader.readString())
                        if former?.isValid != true { throw reader.error(.invalid("not an identifier")) }
                    case "name": name = try reader.readString()
                    case "device": device = try reader.readString()
                    default: try reader.skip()
                    }
                }
                guard version != nil else { throw reader.error(.missingKey("protocol")) }
                guard let code else { throw reader.error(.missingKey("code")) }
                guard let key else { throw reader.error(.missingKey("key")) }
                return EnrollRequest(code: code, key: key, former: former, name: name, device: device)
            }
        }
    }
}

extension EnrollResponse {
    /// The body of the answer to `POST /v1/enroll`: plain JSON.
    public func encoded() -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("replica")
        json.integer(Int64(replica.rawValue))
        json.key("account")
        json.string(account.description)
        json.key("name")
        json.string(name)
        json.key("role")
        json.string(role.rawValue)
        json.key("epoch")
        json.string(epoch.hexadecimal)
        json.key("time")
        json.integer(time)
        json.lease(lease)
        json.endObject()
        return json.bytes
    }

    public init(decoding body: [UInt8]) throws(FrameError) {
        self = try FrameError.mapping {
            try JSONReader.read(body, depthLimit: Limits.depth) { reader in
                var replica: UInt32?
                var account: RecordID?
                var name: String?
                var role: Role?
                var epoch: UInt64?
                var time: Int64?
                var lease: Int?
                try reader.readObject { reader, key in
                    switch key {
                    case "needs": try reader.readNeeds()
                    case "replica": replica = try reader.readUInt32()
                    case "account": account = RecordID(text: try reader.readString())
                    case "name": name = try reader.readString()
                    case "role": role = Role(rawValue: try reader.readString()) ?? .least
                    case "epoch": epoch = try reader.readHexadecimal()
                    case "time": time = try reader.readInteger()
                    case "lease": lease = try reader.readLease()
                    default: try reader.skip()
                    }
                }
                guard let replica, let account, let name, let role, let epoch, let time else {
                    throw reader.error(.invalid("a member of the answer is missing or not of its form"))
                }
                return EnrollResponse(
                    replica: ReplicaID(rawValue: replica), account: account, name: name, role: role, epoch: epoch,
                    time: time, lease: lease)
            }
        }
    }
}

extension JSONWriter {
    /// The member `lease`, if the server tells one.
    mutating func lease(_ days: Int?) {
        guard let days else { return }
        key("lease")
        integer(Int64(days))
    }
}

extension JSONReader {
    mutating func readLease() throws -> Int {
        let days = try readInteger()
        guard Limits.lease.contains(days) else { throw error(.invalid("not a number of days")) }
        return Int(days)
    }
}
