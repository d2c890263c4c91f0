/// How a file that SQLite sees as bytes is cut into units that are encrypted each by itself, and where these lie on the disk.
///
/// A unit is what SQLite writes at once, so that a torn write costs no more than it does without encryption: no write ever
/// touches the bytes of another.
enum UnitLayout {
    /// Pages in their place; nonce and tag lie in the bytes that SQLite leaves free at the end of each.
    case database
    /// A head of 32 bytes, then frames of a head of 24 bytes and a page. Heads grow by nonce and tag, pages do not.
    case log

    private static let logHead = 32
    private static let frameHead = 24
    private static var frame: Int { frameHead + PageCipher.pageSize }
    private static var sealedLogHead: Int { logHead + PageCipher.overhead }
    private static var sealedFrameHead: Int { frameHead + PageCipher.overhead }
    private static var sealedFrame: Int { sealedFrameHead + PageCipher.pageSize }

    struct Unit {
        /// The bytes that SQLite sees.
        var plain: Range<Int>
        /// The bytes in the file.
        var sealed: Range<Int>
        /// Whether nonce and tag lie in the unit's own reserved bytes.
        var isPage: Bool
    }

    func unit(containing offset: Int) -> Unit {
        switch self {
        case .database:
            let start = offset / PageCipher.pageSize * PageCipher.pageSize
            return Self.page(start, sealed: start)
        case .log:
            guard offset >= Self.logHead else {
                return Unit(plain: 0..<Self.logHead, sealed: 0..<Self.sealedLogHead, isPage: false)
            }
            let (number, rest) = (offset - Self.logHead).quotientAndRemainder(dividingBy: Self.frame)
            let start = Self.logHead + number * Self.frame
            let sealed = Self.sealedLogHead + number * Self.sealedFrame
            guard rest >= Self.frameHead else {
                return Unit(
                    plain: start..<start + Self.frameHead, sealed: sealed..<sealed + Self.sealedFrameHead, isPage: false
                )
            }
            return Self.page(start + Self.frameHead, sealed: sealed + Self.sealedFrameHead)
        }
    }

    private static func page(_ start: Int, sealed: Int) -> Unit {
        Unit(
            plain: start..<start + PageCipher.pageSize, sealed: sealed..<sealed + PageCipher.pageSize, isPage: true)
    }

    /// How long SQLite sees a file that is `size` bytes long on the disk: whole frames only.
    func plainSize(_ size: Int) -> Int {
        switch self {
        case .database: return size
        case .log:
            guard size >= Self.sealedLogHead else { return 0 }
            return Self.logHead + (size - Self.sealedLogHead) / Self.sealedFrame * Self.frame
        }
    }

    /// How long a file is on the disk that SQLite wants `size` bytes long.
    func sealedSize(_ size: Int) -> Int {
        switch self {
        case .database: return size
        case .log:
            guard size >= Self.logHead else { return 0 }
            return Self.sealedLogHead + (size - Self.logHead) / Self.frame * Self.sealedFrame
        }
    }
}
