import ShoalCRDT
import ShoalProtocol

/// The server as a client sees it: its two routes, and what their answers mean.
struct Endpoint: Sendable {
    static let mediaType = ProtocolVersion.mediaType

    var server: String
    /// The replica's credential; empty while enrolling.
    var key: String
    var transport: any Transport

    /// The URL without a trailing slash.
    ///
    /// - Throws: `TransportError.invalidURL`.
    static func normalized(_ url: String) throws -> String {
        var text = Substring(url)
        while text.hasSuffix("/") { text = text.dropLast() }
        let lower = text.lowercased()
        let host =
            lower.hasPrefix("https://") ? lower.dropFirst(8) : lower.hasPrefix("http://") ? lower.dropFirst(7) : ""
        guard let first = host.unicodeScalars.first, first != "/", first != ":",
            !host.unicodeScalars.contains(where: { $0.properties.isWhitespace || $0.value < 0x20 })
        else { throw SyncError.transport(.invalidURL(url)) }
        return String(text)
    }

    /// A new credential: 256 random bits in base64url.
    static func key(_ random: () -> UInt64) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        var bytes: [UInt8] = []
        for _ in 0..<4 { withUnsafeBytes(of: random()) { bytes.append(contentsOf: $0) } }
        var text: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            count += 8
            while count >= 6 {
                count -= 6
                text.append(alphabet[Int(bits >> UInt32(count) & 63)])
            }
        }
        if count > 0 { text.append(alphabet[Int(bits << UInt32(6 - count) & 63)]) }
        return String(decoding: text, as: UTF8.self)
    }

    /// Whether the server knows the key; nil if it cannot be asked. A request that is empty changes nothing.
    func knowsKey() async -> Bool? {
        do {
            let answer = try await post("/v1/sync", [], isCompressed: true)
            switch answer.status {
            case 401: return false
            case 400..<500: return true
            default: return nil
            }
        } catch { return nil }
    }

    /// Why the server takes nothing from this device; nil if it does, or if it cannot be asked. A request that is empty
    /// changes nothing.
    func lockout() async -> Lockout.Reason? {
        do {
            let answer = try await post("/v1/sync", [], isCompressed: true)
            if case .lockedOut(let reason) = failure(answer, isEnrolling: false) { return reason }
        } catch {}
        return nil
    }

    /// - Parameter former: the account of a home that is enrolled again.
    func enroll(
        code: String, key: String, former: (account: RecordID, name: String)? = nil, device: String? = nil
    ) async throws -> EnrollResponse {
        let body = EnrollRequest(code: code, key: key, former: former?.account, name: former?.name, device: device)
            .encoded()
        let answer = try await post("/v1/enroll", body, isCompressed: false)
        if answer.status != 200 { throw failure(answer, isEnrolling: true) }
        do throws(FrameError) { return try EnrollResponse(decoding: answer.body) } catch {
            throw Self.unreadable(error)
        }
    }

    /// - Returns: the body of the answer, a list of devices in JSON if it is what it should be.
    func devices() async throws -> [UInt8] {
        let answer = try await post("/v1/devices", [], isCompressed: false)
        if answer.status != 200 { throw failure(answer, isEnrolling: false) }
        return answer.body
    }

    /// - Returns: the body of the answer, a page of the audit in JSON if it is what it should be.
    func audit(of record: RecordID?, before: Int64?, limit: Int) async throws -> [UInt8] {
        var path = "/v1/audit?limit=\(limit)"
        if let record { path += "&record=\(record)" }
        if let before { path += "&before=\(before)" }
        let answer = try await send(
            TransportRequest(method: .get, url: server + path, headers: [("Authorization", "Bearer \(key)")]))
        if answer.status != 200 { throw failure(answer, isEnrolling: false) }
        return answer.body
    }

    /// Sends a body to `/v1/sync`, `/v1/relay` or `/v1/handover`.
    ///
    /// - Returns: the body of the answer, a `SyncResponse` or `RelayResponse` if it is what it should be.
    func exchange(_ path: String, _ body: [UInt8]) async throws -> [UInt8] {
        let answer = try await post(path, body, isCompressed: true)
        if answer.status != 200 { throw failure(answer, isEnrolling: false) }
        return answer.body
    }

    /// - Returns: the body of the answer, a `DigestResponse` if it is what it should be.
    func digest(_ body: [UInt8]) async throws -> [UInt8] {
        let answer = try await post("/v1/digest", body, isCompressed: true)
        if answer.status != 200 { throw failure(answer, isEnrolling: false) }
        return answer.body
    }

    static func unreadable(_ error: FrameError) -> SyncError {
        if case .protocolVersion = error { return .otherProtocol(error.description) }
        return .badAnswer(error.description)
    }

    private func post(_ path: String, _ body: [UInt8], isCompressed: Bool) async throws -> TransportResponse {
        var headers = [("Content-Type", Self.mediaType), ("Accept", Self.mediaType)]
        if isCompressed { headers.append(("Content-Encoding", "deflate")) }
        if !key.isEmpty { headers.append(("Authorization", "Bearer \(key)")) }
        return try await send(
            TransportRequest(url: server + path, headers: headers.map { (name: $0.0, value: $0.1) }, body: body))
    }

    private func send(_ request: TransportRequest) async throws -> TransportResponse {
        do { return try await transport.send(request) } catch let error as TransportError {
            throw SyncError.transport(error)
        }
    }

    /// What a refusal says about the standing of this device; nil if nothing.
    private static func lock(_ status: Int, _ type: String?) -> SyncError? {
        switch (status, type) {
        case (403, "urn:shoal:problem:disabled"): .lockedOut(.disabled)
        case (403, "urn:shoal:problem:revoked"): .lockedOut(.revoked)
        case (403, "urn:shoal:problem:handover-closed"): .handoverClosed
        case (409, "urn:shoal:problem:not-revoked"): .notRevoked
        default: nil
        }
    }

    private func failure(_ answer: TransportResponse, isEnrolling: Bool) -> SyncError {
        let problem = Problem(answer)
        let detail = problem.text ?? "it gave no reason"
        if problem.type?.hasSuffix(":protocol-version") == true { return .otherProtocol(detail) }
        if !isEnrolling, let locked = Self.lock(answer.status, problem.type) { return locked }
        switch answer.status {
        case 401 where !isEnrolling: return .wrongToken(server: server)
        case 403 where !isEnrolling: return .unknownAccount(detail)
        case 426, 415: return .otherProtocol(detail)
        case 408, 429, 500...599: return .unavailable(status: answer.status, retryAfter: answer.retryAfter, detail)
        case 401, 403, 404, 409, 410: return isEnrolling ? .wrongCode(detail) : .refused(status: answer.status, detail)
        default: return .refused(status: answer.status, detail)
        }
    }
}

/// A problem document (RFC 9457), as far as it is shown to people.
struct Problem {
    var type: String?
    var text: String?

    init(_ answer: TransportResponse) {
        guard answer.contentType.hasPrefix("application/problem+json"), answer.body.count <= 65_536 else { return }
        var title: String?
        var detail: String?
        var type: String?
        do {
            try JSONReader.read(answer.body, depthLimit: Limits.depth) { reader in
                try reader.readObject { reader, name in
                    switch name {
                    case "type": type = try reader.readString()
                    case "title": title = try reader.readString()
                    case "detail": detail = try reader.readString()
                    default: try reader.skip()
                    }
                }
            }
        } catch {
            // A problem that cannot be read says no more than its status.
            return
        }
        self.type = type
        text = detail ?? title
    }
}
