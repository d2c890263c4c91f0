import ShoalCRDT
import ShoalProtocol

/// Anti-entropy from bytes to bytes, without HTTP.
public struct DigestHandler: Sendable {
    private let store: ServerStore

    public init(store: ServerStore) { self.store = store }

    /// Answers the body of `POST /v1/digest`.
    ///
    /// - Parameters:
    ///   - body: as it came, compressed.
    ///   - account: whose credential the request showed.
    ///   - device: the replica that the credential was given to.
    ///   - time: milliseconds since 1970.
    /// - Returns: the answer's body, compressed.
    /// - Throws: `FrameError`, `SyncProblem`, `StoreError`.
    public func handle(_ body: [UInt8], account: RecordID, device: ReplicaID, time: Int64) throws -> [UInt8] {
        let response = try store.digest(try DigestRequest(decoding: body), account: account)
        if !response.page.isEmpty {
            try store.noteFetch(of: response.page.heads.count, by: account, device, time: time)
        }
        return try response.encoded()
    }
}
