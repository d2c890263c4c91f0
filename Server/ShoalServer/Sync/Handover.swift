import Logging
import ShoalCRDT
import ShoalProtocol

// What a revoked device may still do: bring what it had not sent, to the end and not beyond.
extension SyncHandler {
    /// Answers the body of `POST /v1/handover`: a push without a page.
    ///
    /// It is taken like any push of the account. When everything that the request's logs are said to have is here the device
    /// has handed over; the same request again, whose answer was lost, has nothing new and is answered again. What comes
    /// then and is not here is a copy's, which hands over too: so many copies, and then the device is closed. What one has
    /// begun it ends in time: a device that is never done would not be revoked.
    ///
    /// - Throws: `AccountProblem.notRevoked`, `.handoverClosed`; `FrameError`, `SyncProblem`, `StoreError`.
    func handOver(_ body: [UInt8], by credential: Credential) async throws -> [UInt8] {
        var handover = try begin(body, by: credential)
        let receipt = try await committer.commit(try store.prepare(handover.push))
        return try end(&handover, receipt, by: credential)
    }

    /// The same on the calling thread, in a commit of its own.
    public func handOverAlone(_ body: [UInt8], by credential: Credential) throws -> [UInt8] {
        var handover = try begin(body, by: credential)
        let receipt = try committer.commitAlone(try store.prepare(handover.push))
        return try end(&handover, receipt, by: credential)
    }

    private struct Handover {
        var session: ServerSession
        var push: ServerSession.Push
        var logs: [LogPosition]
        /// Whether everything that it says was here before.
        var isRepeated: Bool
    }

    private func begin(_ body: [UInt8], by credential: Credential) throws -> Handover {
        guard credential.standing != .active else { throw AccountProblem.notRevoked }
        guard !credential.isDiscarded else { throw AccountProblem.handoverClosed }
        var request = try request(body)
        let isRepeated = try store.hasTaken(request.logs, of: credential.account)
        if !isRepeated {
            if credential.handovers >= Limits.handovers { throw AccountProblem.handoverClosed }
            try store.beginHandover(of: credential.replica, request.logs, time: environment.now())
        }
        request.wantsPage = false
        let session = ServerSession(
            request, account: credential.account, device: credential.replica, time: environment.now())
        guard case .commit(var push) = session.start() else { throw SyncProblem.malformed("there is no push") }
        push.isHandover = true
        return Handover(session: session, push: push, logs: request.logs, isRepeated: isRepeated)
    }

    private func end(
        _ handover: inout Handover, _ receipt: ServerSession.Receipt, by credential: Credential
    ) throws -> [UInt8] {
        note(receipt.answer, handover.push)
        guard case .respond(let response) = handover.session.committed(receipt) else {
            throw SyncProblem.malformed("there is no answer")
        }
        if case .taken = receipt.answer, !handover.isRepeated || credential.handovers == 0,
            try store.hasTaken(handover.logs, of: credential.account)
        {
            try store.noteHandedOver(credential.replica, of: credential.account, time: environment.now())
            logger.notice(
                "a revoked device has handed over its unsent work",
                metadata: ["account": "\(credential.account)", "replica": "\(credential.replica.text)"])
        }
        return try response.encoded()
    }
}
