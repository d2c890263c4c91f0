import CSQLite

/// A file as the file system below has it open.
struct FileBelow {
    let file: UnsafeMutablePointer<sqlite3_file>
    let methods: sqlite3_io_methods

    /// - Returns: nil with SQLite's code if it cannot be opened.
    static func open(
        _ path: UnsafePointer<CChar>?, _ flags: Int32, _ outFlags: UnsafeMutablePointer<Int32>?
    ) -> (below: FileBelow?, code: Int32) {
        guard let system = sqlite3_vfs_find(nil) else { return (nil, SQLITE_CANTOPEN) }
        let memory = UnsafeMutableRawPointer.allocate(byteCount: Int(system.pointee.szOsFile), alignment: 16)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: Int(system.pointee.szOsFile))
        let file = memory.assumingMemoryBound(to: sqlite3_file.self)
        let code = system.pointee.xOpen(system, path, file, flags, outFlags)
        guard code == SQLITE_OK, let methods = file.pointee.pMethods?.pointee else {
            // What has methods must be closed even if it could not be opened.
            if let methods = file.pointee.pMethods { _ = methods.pointee.xClose(file) }
            memory.deallocate()
            return (nil, code == SQLITE_OK ? SQLITE_CANTOPEN : code)
        }
        return (FileBelow(file: file, methods: methods), SQLITE_OK)
    }

    func close() -> Int32 {
        defer { UnsafeMutableRawPointer(file).deallocate() }
        return methods.xClose(file)
    }

    func read(_ target: UnsafeMutableRawBufferPointer, at offset: Int) -> Int32 {
        methods.xRead(file, target.baseAddress, Int32(target.count), Int64(offset))
    }

    func write(_ source: UnsafeRawBufferPointer, at offset: Int) -> Int32 {
        methods.xWrite(file, source.baseAddress, Int32(source.count), Int64(offset))
    }

    func truncate(to size: Int) -> Int32 { methods.xTruncate(file, Int64(size)) }

    /// nil if it cannot be told.
    var size: Int? {
        var size: Int64 = 0
        return methods.xFileSize(file, &size) == SQLITE_OK ? Int(size) : nil
    }
}
