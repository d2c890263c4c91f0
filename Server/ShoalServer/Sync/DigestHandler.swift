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
    /// - Returns: the answer's body, compressed.
    /// - Throws: `FrameError`, `SyncProblem`, `StoreError`.
    public func handle(_ body: [UInt8], account: RecordID) throws -> [UInt8] {
        try store.digest(try DigestRequest(decoding: body), account: account).encoded()
    }
}
