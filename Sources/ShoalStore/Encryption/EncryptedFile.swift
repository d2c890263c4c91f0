import CSQLite
import Crypto

/// A file that SQLite has open and that holds only what is encrypted.
///
/// SQLite uses it on one thread at a time.
class EncryptedFile {
    let below: FileBelow
    init(_ below: FileBelow) { self.below = below }

    func read(_ target: UnsafeMutableRawBufferPointer, at offset: Int) -> Int32 { Self.readFailure }
    func write(_ source: UnsafeRawBufferPointer, at offset: Int) -> Int32 { Self.writeFailure }
    func truncate(to size: Int) -> Int32 { SQLITE_IOERR }
    var size: Int? { nil }

    static let shortRead = SQLITE_IOERR | 2 << 8
    static let readFailure = SQLITE_IOERR | 1 << 8
    static let writeFailure = SQLITE_IOERR | 3 << 8
}

/// A database or its write-ahead log.
final class UnitFile: EncryptedFile {
    private let cipher: PageCipher
    private let layout: UnitLayout
    private let sealed: UnsafeMutableRawBufferPointer
    private let plain: UnsafeMutableRawBufferPointer

    init(_ below: FileBelow, _ cipher: PageCipher, _ layout: UnitLayout) {
        self.cipher = cipher
        self.layout = layout
        sealed = .allocate(byteCount: PageCipher.pageSize, alignment: 16)
        plain = .allocate(byteCount: PageCipher.pageSize, alignment: 16)
        super.init(below)
    }

    deinit {
        sealed.deallocate()
        // It held what is not to be found.
        plain.initializeMemory(as: UInt8.self, repeating: 0)
        plain.deallocate()
    }

    private func place(_ unit: UnitLayout.Unit) -> UnitPlace {
        UnitPlace(kind: layout == .database ? .database : .log, start: unit.plain.lowerBound)
    }

    // MARK: Reading

    override func read(_ target: UnsafeMutableRawBufferPointer, at offset: Int) -> Int32 {
        var done = 0
        while done < target.count {
            let unit = layout.unit(containing: offset + done)
            let rest = UnsafeMutableRawBufferPointer(rebasing: target[done...])
            let code = load(unit, asked: target.count)
            guard code == SQLITE_OK else {
                _ = rest.initializeMemory(as: UInt8.self, repeating: 0)
                return code
            }
            let from = offset + done - unit.plain.lowerBound
            let part = plain[from..<min(unit.plain.count, from + rest.count)]
            rest.copyMemory(from: UnsafeRawBufferPointer(rebasing: part))
            done += part.count
        }
        return SQLITE_OK
    }

    /// Reads a unit into `plain`.
    ///
    /// - Parameter asked: how many bytes SQLite asks for.
    private func load(_ unit: UnitLayout.Unit, asked: Int) -> Int32 {
        let bytes = UnsafeMutableRawBufferPointer(rebasing: sealed[..<unit.sealed.count])
        let code = below.read(bytes, at: unit.sealed.lowerBound)
        guard code == SQLITE_OK else { return code }
        let isOpen =
            unit.isPage
            ? cipher.open(
                UnsafeRawBufferPointer(rebasing: bytes[..<(PageCipher.pageSize - 4)]), at: place(unit), into: plain)
            : cipher.open(UnsafeRawBufferPointer(bytes), at: place(unit), into: plain)
        if isOpen {
            if unit.isPage { clear(plain, from: PageCipher.pageSize - PageCipher.reserved) }
            return SQLITE_OK
        }
        guard bytes.allSatisfy({ $0 == 0 }) || isAttempt(unit, asked: asked) else { return SQLITE_CORRUPT }
        clear(plain, from: 0)
        return SQLITE_OK
    }

    /// Whether SQLite only tries what is there, and goes on without. A page that was never written is all zeros.
    ///
    /// In the log it looks for the end by what is no frame: a write that was torn, or the rest of an earlier log. Of the
    /// database it reads some bytes of the first page before it has looked at log and journal, in which the page may lie whole.
    private func isAttempt(_ unit: UnitLayout.Unit, asked: Int) -> Bool {
        switch layout {
        case .log: !unit.isPage || asked > unit.plain.count
        case .database: asked < unit.plain.count
        }
    }

    private func clear(_ buffer: UnsafeMutableRawBufferPointer, from start: Int) {
        _ = UnsafeMutableRawBufferPointer(rebasing: buffer[start...]).initializeMemory(as: UInt8.self, repeating: 0)
    }

    // MARK: Writing

    override func write(_ source: UnsafeRawBufferPointer, at offset: Int) -> Int32 {
        var done = 0
        while done < source.count {
            let unit = layout.unit(containing: offset + done)
            // Part of a unit could only be written by writing all of it anew, which a loss of power may tear.
            guard unit.plain.lowerBound == offset + done, source.count - done >= unit.plain.count else {
                return Self.writeFailure
            }
            let part = UnsafeRawBufferPointer(rebasing: source[done..<done + unit.plain.count])
            guard seal(part, unit) else { return Self.writeFailure }
            let code = below.write(
                UnsafeRawBufferPointer(rebasing: sealed[..<unit.sealed.count]), at: unit.sealed.lowerBound)
            guard code == SQLITE_OK else { return code }
            done += unit.plain.count
        }
        return SQLITE_OK
    }

    private func seal(_ bytes: UnsafeRawBufferPointer, _ unit: UnitLayout.Unit) -> Bool {
        guard unit.isPage else { return cipher.seal(bytes, at: place(unit), into: sealed) }
        let text = PageCipher.pageSize - PageCipher.reserved
        // Whatever stood there would be lost.
        guard bytes[text...].allSatisfy({ $0 == 0 }) else { return false }
        clear(sealed, from: PageCipher.pageSize - 4)
        return cipher.seal(UnsafeRawBufferPointer(rebasing: bytes[..<text]), at: place(unit), into: sealed)
    }

    override func truncate(to size: Int) -> Int32 { below.truncate(to: layout.sealedSize(size)) }

    override var size: Int? { below.size.map(layout.plainSize) }
}
