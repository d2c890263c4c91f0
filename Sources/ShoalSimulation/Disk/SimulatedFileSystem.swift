import CSQLite

/// The SQLite VFS whose files below "/simdisk/" lie on simulated disks; every other path goes to the VFS that was the
/// default before, untouched.
enum SimulatedFileSystem {
    /// What the VFS's own calls need; made once and never freed, because SQLite may use it until the process ends.
    private struct Context {
        var original: UnsafeMutablePointer<sqlite3_vfs>
        var methods: sqlite3_io_methods
    }

    /// Makes it the process's default VFS. Connections that are open already keep theirs.
    ///
    /// - Returns: false if SQLite has no VFS to stand on, or refuses this one.
    static func register() -> Bool {
        // Takes effect before SQLite's first use only, and registering is a use.
        _ = shoal_sqlite_configure()
        guard let original = sqlite3_vfs_find(nil) else { return false }
        let context = UnsafeMutablePointer<Context>.allocate(capacity: 1)
        context.initialize(to: Context(original: original, methods: OpenFile.methods))
        let vfs = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
        vfs.initialize(to: original.pointee)
        vfs.pointee.zName = UnsafePointer(name)
        vfs.pointee.szOsFile = max(original.pointee.szOsFile, Int32(MemoryLayout<OpenFile>.size))
        vfs.pointee.pAppData = UnsafeMutableRawPointer(context)
        vfs.pointee.xOpen = { SimulatedFileSystem.open($0, $1, $2, $3, $4) }
        vfs.pointee.xDelete = { SimulatedFileSystem.delete($0, $1, $2) }
        vfs.pointee.xAccess = { SimulatedFileSystem.access($0, $1, $2, $3) }
        vfs.pointee.xFullPathname = { SimulatedFileSystem.fullPath($0, $1, $2, $3) }
        return sqlite3_vfs_register(vfs, 1) == SQLITE_OK
    }

    private static var name: UnsafeMutablePointer<CChar> {
        let text = Array("shoal-simulation".utf8CString)
        let copy = UnsafeMutablePointer<CChar>.allocate(capacity: text.count)
        copy.initialize(from: text, count: text.count)
        return copy
    }

    private static func context(_ vfs: UnsafeMutablePointer<sqlite3_vfs>?) -> UnsafeMutablePointer<Context>? {
        vfs?.pointee.pAppData?.assumingMemoryBound(to: Context.self)
    }

    private static func isSimulated(_ path: UnsafePointer<CChar>) -> Bool {
        var index = 0
        for byte in DiskRegistry.prefix.utf8 {
            if UInt8(bitPattern: path[index]) != byte { return false }
            index += 1
        }
        return true
    }

    // MARK: The file system's calls

    private static func open(
        _ vfs: UnsafeMutablePointer<sqlite3_vfs>?, _ path: UnsafePointer<CChar>?,
        _ file: UnsafeMutablePointer<sqlite3_file>?, _ flags: Int32, _ outFlags: UnsafeMutablePointer<Int32>?
    ) -> Int32 {
        guard let context = context(vfs), let file else { return SQLITE_MISUSE }
        guard let path, isSimulated(path) else {
            return context.pointee.original.pointee.xOpen(context.pointee.original, path, file, flags, outFlags)
        }
        // Without methods SQLite does not close what could not be opened.
        file.pointee.pMethods = nil
        guard let (disk, name) = DiskRegistry.find(path), let handle = disk.open(name, flags) else {
            return SQLITE_CANTOPEN
        }
        UnsafeMutableRawPointer(file).assumingMemoryBound(to: OpenFile.self).pointee.handle = .passRetained(handle)
        file.pointee.pMethods = UnsafePointer(
            UnsafeMutableRawPointer(context).advanced(by: MemoryLayout<Context>.offset(of: \.methods) ?? 0)
                .assumingMemoryBound(to: sqlite3_io_methods.self))
        outFlags?.pointee = flags
        return SQLITE_OK
    }

    private static func delete(
        _ vfs: UnsafeMutablePointer<sqlite3_vfs>?, _ path: UnsafePointer<CChar>?, _ syncsDirectory: Int32
    ) -> Int32 {
        guard let context = context(vfs), let path else { return SQLITE_MISUSE }
        guard isSimulated(path) else {
            return context.pointee.original.pointee.xDelete(context.pointee.original, path, syncsDirectory)
        }
        guard let (disk, name) = DiskRegistry.find(path) else { return IOFailure.delete }
        return disk.delete(name, syncsDirectory: syncsDirectory != 0)
    }

    private static func access(
        _ vfs: UnsafeMutablePointer<sqlite3_vfs>?, _ path: UnsafePointer<CChar>?, _ flags: Int32,
        _ result: UnsafeMutablePointer<Int32>?
    ) -> Int32 {
        guard let context = context(vfs), let path else { return SQLITE_MISUSE }
        guard isSimulated(path) else {
            return context.pointee.original.pointee.xAccess(context.pointee.original, path, flags, result)
        }
        guard let (disk, name) = DiskRegistry.find(path), let size = disk.size(of: name) else {
            result?.pointee = 0
            return SQLITE_OK
        }
        // An empty file is none, as on Unix.
        result?.pointee = flags == SQLITE_ACCESS_EXISTS && size == 0 ? 0 : 1
        return SQLITE_OK
    }

    private static func fullPath(
        _ vfs: UnsafeMutablePointer<sqlite3_vfs>?, _ path: UnsafePointer<CChar>?, _ room: Int32,
        _ result: UnsafeMutablePointer<CChar>?
    ) -> Int32 {
        guard let context = context(vfs), let path, let result else { return SQLITE_MISUSE }
        guard isSimulated(path) else {
            return context.pointee.original.pointee.xFullPathname(context.pointee.original, path, room, result)
        }
        var index = 0
        while index < Int(room) {
            result[index] = path[index]
            if path[index] == 0 { return SQLITE_OK }
            index += 1
        }
        return SQLITE_CANTOPEN
    }
}
