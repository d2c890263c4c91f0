import CSQLite
import Crypto

/// The SQLite VFS that stands between SQLite and the process's default one, and lets nothing pass that is not encrypted.
///
/// A file is opened with the cipher whose number its database's name carries (`StoreFile.name`). Everything but contents
/// and sizes goes to the file system below untouched: locks, syncs, shared memory.
enum EncryptedFileSystem {
    static let name = "shoal-encrypted"

    /// Whether it can be used; registered with the first look.
    static let isRegistered: Bool = {
        // Takes effect before SQLite's first use only, and registering is a use.
        _ = shoal_sqlite_configure()
        guard let original = sqlite3_vfs_find(nil) else { return false }
        let vfs = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
        vfs.initialize(to: original.pointee)
        let text = Array(name.utf8CString)
        let copy = UnsafeMutablePointer<CChar>.allocate(capacity: text.count)
        copy.initialize(from: text, count: text.count)
        vfs.pointee.zName = UnsafePointer(copy)
        vfs.pointee.szOsFile = Int32(MemoryLayout<OpenEncryptedFile>.size)
        vfs.pointee.xOpen = { EncryptedFileSystem.open($1, $2, $3, $4) }
        vfs.pointee.xDelete = { _, path, syncs in
            guard let system = sqlite3_vfs_find(nil) else { return SQLITE_IOERR }
            return system.pointee.xDelete(system, path, syncs)
        }
        vfs.pointee.xAccess = { _, path, flags, result in
            guard let system = sqlite3_vfs_find(nil) else { return SQLITE_IOERR }
            return system.pointee.xAccess(system, path, flags, result)
        }
        vfs.pointee.xFullPathname = { _, path, room, result in
            guard let system = sqlite3_vfs_find(nil) else { return SQLITE_IOERR }
            return system.pointee.xFullPathname(system, path, room, result)
        }
        return sqlite3_vfs_register(vfs, 0) == SQLITE_OK
    }()

    /// The methods of all files; never freed, because SQLite may use them until the process ends.
    ///
    /// `nonisolated(unsafe)`: written once, before anybody reads it.
    nonisolated(unsafe) private static let methods: UnsafePointer<sqlite3_io_methods> = {
        let methods = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
        methods.initialize(to: OpenEncryptedFile.methods)
        return UnsafePointer(methods)
    }()

    private static func open(
        _ path: UnsafePointer<CChar>?, _ file: UnsafeMutablePointer<sqlite3_file>?, _ flags: Int32,
        _ outFlags: UnsafeMutablePointer<Int32>?
    ) -> Int32 {
        guard let file else { return SQLITE_MISUSE }
        // Without methods SQLite does not close what could not be opened.
        file.pointee.pMethods = nil
        let cipher = path.flatMap(cipher)
        // A file without a name is this connection's alone.
        guard cipher != nil || path == nil else { return SQLITE_CANTOPEN }
        let (below, code) = FileBelow.open(path, flags, outFlags)
        guard let below else { return code }
        let handle: EncryptedFile
        switch (cipher, flags) {
        case (let cipher?, _) where flags & SQLITE_OPEN_MAIN_DB != 0: handle = UnitFile(below, cipher, .database)
        case (let cipher?, _) where flags & SQLITE_OPEN_WAL != 0: handle = UnitFile(below, cipher, .log)
        case (let cipher?, _): handle = StreamFile(below, key: cipher.streamKey, draw: cipher.nonce)
        case (nil, _): handle = StreamFile(below, key: SymmetricKey(size: .bits256), draw: { Array(AES.GCM.Nonce()) })
        }
        UnsafeMutableRawPointer(file).assumingMemoryBound(to: OpenEncryptedFile.self).pointee.handle =
            .passRetained(handle)
        file.pointee.pMethods = methods
        return SQLITE_OK
    }

    private static func cipher(_ path: UnsafePointer<CChar>) -> PageCipher? {
        guard let text = sqlite3_uri_parameter(path, "cipher"), let number = Int(String(cString: text)) else {
            return nil
        }
        return CipherRegistry.find(number)
    }
}
