/// Why a frame was refused: where, and what is wrong. Nothing of a refused frame is applied.
public enum FrameError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The body is longer than `Limits` allow.
    case tooLarge(limit: Int)
    /// The body speaks another version of the protocol.
    case protocolVersion(Int)
    case compression(DeflateError)
    case json(JSONError)

    public var description: String {
        switch self {
        case .tooLarge(let limit): "the body is longer than \(limit) bytes"
        case .protocolVersion(let version):
            "the body needs version \(version) of the protocol, and this program speaks version \(ProtocolVersion.current)"
        case .compression(let error): "\(error)"
        case .json(let error): "\(error)"
        }
    }

    static func mapping<T>(_ body: () throws -> T) throws(FrameError) -> T {
        do { return try body() } catch let error as FrameError {
            throw error
        } catch let error as JSONError {
            throw .json(error)
        } catch let error as DeflateError {
            throw .compression(error)
        } catch {
            throw .json(JSONError(offset: 0, reason: .invalid("\(error)")))
        }
    }
}
