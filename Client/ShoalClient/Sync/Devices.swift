import ShoalProtocol

/// A device of one's own account, as the server knows it.
public struct DeviceView: Hashable, Sendable {
    /// The replica that it was enrolled as, 8 hexadecimal digits.
    public var replica: String
    /// Empty if it has none.
    public var name: String
    /// When, as ISO 8601.
    public var enrolled: String
    /// All replicas that it ever was.
    public var replicas: [String]
    /// `active`, `revoked`, `handed-over`, `discarded`.
    public var state: String
    /// Since when it is revoked, as ISO 8601.
    public var revoked: String?
    /// Whether it is the one that asks.
    public var isThis = false
}

extension SyncDriver {
    /// Asks the server for the devices of the replica's account.
    ///
    /// - Throws: `SyncError`, `ReplicaError`.
    public func devices() async throws -> [DeviceView] {
        let credential = try replica.credential()
        let endpoint = Endpoint(server: credential.server, key: credential.key, transport: transport)
        let body = try await endpoint.devices()
        let own = try replica.ownReplicas()
        return try DeviceView.list(body).map { device in
            var device = device
            device.isThis = device.replicas.contains { own.contains($0) }
            return device
        }
    }
}

extension DeviceView {
    /// Reads the body of the answer to `POST /v1/devices`.
    static func list(_ body: [UInt8]) throws -> [DeviceView] {
        do {
            return try JSONReader.read(body, depthLimit: Limits.depth) { reader in
                var devices: [DeviceView] = []
                try reader.readArray { devices.append(try DeviceView(from: &$0)) }
                return devices
            }
        } catch { throw SyncError.badAnswer("the list of devices is not in form") }
    }

    private init(from reader: inout JSONReader) throws {
        self.init(replica: "", name: "", enrolled: "", replicas: [], state: "")
        try reader.readObject { reader, member in
            switch member {
            case "replica": replica = try reader.readString()
            case "name": name = try reader.readString()
            case "enrolled": enrolled = try reader.readString()
            case "replicas": try reader.readArray { replicas.append(try $0.readString()) }
            case "state": state = try reader.readString()
            case "revoked": revoked = try reader.readString()
            default: try reader.skip()
            }
        }
    }
}
