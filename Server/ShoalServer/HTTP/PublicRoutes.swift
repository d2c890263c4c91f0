import HTTPTypes
import Hummingbird
import NIOCore
import ShoalCRDT
import ShoalProtocol

/// What the network sees.
extension Services {
    var publicRoutes: [Routes.Route] {
        [
            .init(method: .post, path: "/v1/enroll", isGuessable: true) { try await self.enroll($0) },
            .init(method: .post, path: "/v1/sync") { try await self.sync($0) },
            .init(method: .post, path: "/v1/handover") { try await self.handOver($0) },
            .init(method: .post, path: "/v1/devices") { try await self.devices($0) },
            .init(method: .get, path: "/v1/audit") { try await self.audit($0) },
            .init(method: .post, path: "/v1/relay") { try await self.relay($0) },
            .init(method: .post, path: "/v1/digest") { try await self.digest($0) },
            .init(method: .get, path: "/v1/openapi.json", isQuiet: true) { _ in
                Self.answer("application/json", Array(OpenAPI.document.utf8))
            },
            .init(method: .get, path: "/healthz", isQuiet: true) { _ in Self.answer("text/plain", Array("ok\n".utf8)) },
            .init(method: .get, path: "/readyz", isQuiet: true) { _ in
                guard self.committer.isReady else { throw Problem.notReady }
                return Self.answer("text/plain", Array("ready\n".utf8))
            },
            .init(method: .get, path: "/metrics", isQuiet: true) { _ in
                Self.answer("text/plain; version=0.0.4", Array(self.metrics.text.utf8))
            },
        ]
    }

    /// - Parameter place: what the request holds until its answer is taken: it is under way until then.
    static func answer(
        _ type: String, _ bytes: [UInt8], status: HTTPResponse.Status = .ok, _ place: RequestGate.Place? = nil
    ) -> Routes.Answer {
        let body = ResponseBody(contentLength: bytes.count) { writer in
            try await writer.write(ByteBuffer(bytes: bytes))
            try await writer.finish(nil)
            withExtendedLifetime(place) {}
        }
        return Routes.Answer(
            response: Response(status: status, headers: [.contentType: type], body: body), bytesOut: bytes.count)
    }

    private func enroll(_ request: Request) async throws -> Routes.Answer {
        try checkMediaType(request, orJSON: true)
        let body = try await body(request, limit: 4_096)
        var enrolled = try accounts.enroll(try EnrollRequest(decoding: body))
        enrolled.lease = store.leaseDays
        var answer = Self.answer(Self.mediaType, enrolled.encoded())
        answer.bytesIn = body.count
        answer.isKnown = true
        answer.metadata = ["account": "\(enrolled.account)", "replica": "\(enrolled.replica.rawValue)"]
        return answer
    }

    private func sync(_ request: Request) async throws -> Routes.Answer {
        try await exchange(request) { body, credential in
            try await handler.handle(body, account: credential.account, device: credential.replica)
        }
    }

    /// The one thing that a revoked device may do.
    private func handOver(_ request: Request) async throws -> Routes.Answer {
        try await exchange(request, from: anyCredential) { body, credential in
            try await handler.handOver(body, by: credential)
        }
    }

    /// The devices of the account that asks.
    private func devices(_ request: Request) async throws -> Routes.Answer {
        let credential = try credential(request)
        try limits.count(credential.account, now: .now())
        let place = try gate.enter(credential.account)
        _ = try await body(request, limit: 4_096)
        let devices = try store.devices(of: credential.account)
        var answer = try Self.json(devices, place)
        answer.metadata = ["account": "\(credential.account)", "replica": "\(credential.replica.rawValue)"]
        return answer
    }

    /// Who changed what, as far as the account that asks may see it.
    private func audit(_ request: Request) async throws -> Routes.Answer {
        let credential = try credential(request)
        try limits.count(credential.account, now: .now())
        let place = try gate.enter(credential.account)
        var query = AuditQuery()
        var given: Set<Substring> = []
        for (name, value) in request.uri.queryParameters {
            guard given.insert(name).inserted else {
                throw Problem.malformed("record, before and limit are given once")
            }
            switch name {
            case "record": query.record = String(value)
            case "before": query.before = try Self.number(value)
            case "limit": query.limit = try Self.number(value)
            default: throw Problem.malformed("the audit is asked with record, before and limit")
            }
        }
        if query.record == nil {
            try store.noteAuditRead(by: credential.account, credential.replica, time: accounts.environment.now())
        }
        var answer = try Self.json(try store.audit(query, viewer: credential.account), place)
        answer.isKnown = true
        answer.metadata = ["account": "\(credential.account)", "replica": "\(credential.replica.rawValue)"]
        return answer
    }

    private static func number<T: FixedWidthInteger>(_ text: Substring) throws -> T {
        guard text.utf8.first != UInt8(ascii: "+"), let number = T(text), number > 0 else {
            throw Problem.malformed("before and limit are positive numbers")
        }
        return number
    }

    private func relay(_ request: Request) async throws -> Routes.Answer {
        try await exchange(request, compresses: false) { body, credential in
            try handler.relay(body, account: credential.account).encoded()
        }
    }

    private func digest(_ request: Request) async throws -> Routes.Answer {
        try await exchange(request) { body, credential in
            // It reads everything: a few at a time, whoever asks, so that pulls find readers.
            let place = try digestGate.enter(Self.everybody)
            return try withExtendedLifetime(place) {
                try DigestHandler(store: store).handle(
                    body, account: credential.account, device: credential.replica, time: accounts.environment.now())
            }
        }
    }

    private static let everybody = RecordID(rawValue: 0)

    private func exchange(
        _ request: Request, compresses: Bool = true, _ answer: ([UInt8], Credential) async throws -> [UInt8]
    ) async throws -> Routes.Answer {
        try await exchange(request, from: credential, compresses: compresses, answer)
    }

    /// An exchange of compressed frames.
    ///
    /// - Parameter sender: who sends it, or why they may not. It is asked again when the body is there: that may take long,
    ///   and whose account was disabled meanwhile is refused.
    private func exchange(
        _ request: Request, from sender: (Request) throws -> Credential, compresses: Bool = true,
        _ answer: ([UInt8], Credential) async throws -> [UInt8]
    ) async throws -> Routes.Answer {
        let credential = try sender(request)
        try limits.count(credential.account, now: .now())
        try checkCompressed(request)
        let place = try gate.enter(credential.account)
        let body = try await body(request)
        let response = try await answer(body, try sender(request))
        var result = Self.answer(Self.mediaType, response, place)
        if compresses { result.response.headers[.contentEncoding] = "deflate" }
        result.isKnown = true
        result.bytesIn = body.count
        result.metadata = [
            "account": "\(credential.account)", "replica": "\(credential.replica.rawValue)", "in": "\(body.count)",
            "out": "\(response.count)",
        ]
        return result
    }

    private func checkCompressed(_ request: Request) throws {
        try checkMediaType(request)
        guard request.headers[.contentEncoding]?.lowercased() == "deflate" else {
            throw Problem.mediaType("the body must come with Content-Encoding: deflate")
        }
    }

    /// Who sends this, from the bearer key alone, if they may.
    private func credential(_ request: Request) throws -> Credential {
        let credential = try anyCredential(request)
        switch credential.standing {
        case .active: return credential
        case .revoked: throw AccountProblem.revoked
        case .disabled: throw AccountProblem.disabled
        }
    }

    /// Who sends this, also when nothing but the handover is taken from them any more.
    private func anyCredential(_ request: Request) throws -> Credential {
        let scheme = "bearer "
        guard let header = request.headers[.authorization], header.prefix(scheme.count).lowercased() == scheme,
            let credential = try accounts.credential(key: String(header.dropFirst(scheme.count)))
        else { throw Problem.unauthorized }
        return credential
    }
}
