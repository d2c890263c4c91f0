import ShoalProtocol

/// Why a sync ended early. Nothing was lost: what was committed stays, the rest is sent again next time.
public enum SyncError: Error, Equatable, Sendable, CustomStringConvertible {
    case transport(TransportError)
    /// 401: the server does not know this replica's key.
    case wrongToken(server: String)
    /// 403: the account is unknown, or what was asked for is another's.
    case unknownAccount(String)
    /// 403: the account was disabled, or the device revoked.
    case lockedOut(Lockout.Reason)
    /// 403: nothing more is taken from a device that was revoked.
    case handoverClosed
    /// 409: there is nothing to hand over, because the device is not revoked.
    case notRevoked
    /// 404, 410 or 400 on enrolment: the code is wrong, used or expired.
    case wrongCode(String)
    /// 426 or 415: the server speaks another version of the protocol.
    case otherProtocol(String)
    /// Another 4xx: the server refused the request.
    case refused(status: Int, String)
    /// 5xx, 408 or 429: the server cannot answer now.
    case unavailable(status: Int, retryAfter: Int?, String)
    /// The answer is not in the protocol's form.
    case badAnswer(String)
    /// The session ended with a fork, a rollback or an answer that does not fit.
    case session(ClientSession.Problem)

    public var helpsToRetry: Bool {
        switch self {
        case .transport(let error): error.helpsToRetry
        case .unavailable: true
        default: false
        }
    }

    /// When to try again, in a few words; nil if nobody knows.
    public var advice: String? {
        guard case .unavailable(_, let seconds?, _) = self, seconds > 0 else { return nil }
        func inAll(_ unit: Int, _ name: String) -> String {
            let count = seconds / unit + (seconds % unit > 0 ? 1 : 0)
            return "try again in \(count) \(count == 1 ? name : name + "s")"
        }
        return seconds < 120 ? inAll(1, "second") : seconds < 7_200 ? inAll(60, "minute") : inAll(3_600, "hour")
    }

    public var description: String {
        switch self {
        case .transport(let error): error.description
        case .wrongToken(let server):
            "the server at \(server) does not know this replica: is it the right server? If it was put back to before this home "
                + "was enrolled, enroll again here with a new code; nothing was changed here"
        case .unknownAccount(let detail): "the server refuses this account: \(detail)"
        case .lockedOut(.disabled): "the server says that this account is disabled"
        case .lockedOut(.revoked): "the server says that this device was revoked"
        case .handoverClosed: "the server takes nothing from this device any more"
        case .notRevoked: "the server says that this device is not revoked"
        case .wrongCode(let detail): "the server refuses this code: \(detail)"
        case .otherProtocol(let detail): "the server speaks another version of the protocol: \(detail)"
        case .refused(413, let detail), .refused(431, let detail):
            "the request is too large for the server: \(detail)"
        case .refused(let status, let detail): "the server refused the request (\(status)): \(detail)"
        case .unavailable(let status, _, let detail): "the server cannot answer now (\(status)): \(detail)"
        case .badAnswer(let detail): "the server's answer cannot be read: \(detail)"
        case .session(.healsInVain):
            "this home was found to be a copy of another again and again; nothing was lost: try again later"
        case .session(.protocolError(let detail)): "the server's answer does not fit: \(detail)"
        }
    }
}
