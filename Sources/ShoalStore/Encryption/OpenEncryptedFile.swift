import CSQLite

/// What SQLite allocates for each encrypted file that it has open, and the calls that it makes on it.
struct OpenEncryptedFile {
    var base: sqlite3_file
    var handle: Unmanaged<EncryptedFile>?

    @inline(__always)
    private static func with(
        _ file: UnsafeMutablePointer<sqlite3_file>?, _ body: (EncryptedFile) -> Int32
    ) -> Int32 {
        guard let file,
            let handle = UnsafeMutableRawPointer(file).assumingMemoryBound(to: OpenEncryptedFile.self).pointee.handle
        else { return SQLITE_MISUSE }
        return handle._withUnsafeGuaranteedRef(body)
    }

    private static func close(_ file: UnsafeMutablePointer<sqlite3_file>?) -> Int32 {
        guard let file else { return SQLITE_MISUSE }
        let open = UnsafeMutableRawPointer(file).assumingMemoryBound(to: OpenEncryptedFile.self)
        guard let handle = open.pointee.handle else { return SQLITE_MISUSE }
        open.pointee.handle = nil
        return handle.takeRetainedValue().below.close()
    }

    static var methods: sqlite3_io_methods {
        var methods = sqlite3_io_methods()
        // Without xFetch: what is mapped into memory would not be decrypted.
        methods.iVersion = 2
        methods.xClose = { OpenEncryptedFile.close($0) }
        methods.xRead = { file, target, count, offset in
            OpenEncryptedFile.with(file) {
                $0.read(UnsafeMutableRawBufferPointer(start: target, count: Int(count)), at: Int(offset))
            }
        }
        methods.xWrite = { file, source, count, offset in
            OpenEncryptedFile.with(file) {
                $0.write(UnsafeRawBufferPointer(start: source, count: Int(count)), at: Int(offset))
            }
        }
        methods.xTruncate = { file, size in OpenEncryptedFile.with(file) { $0.truncate(to: Int(size)) } }
        methods.xFileSize = { file, result in
            OpenEncryptedFile.with(file) { handle in
                guard let size = handle.size else { return SQLITE_IOERR | 7 << 8 }
                result?.pointee = Int64(size)
                return SQLITE_OK
            }
        }
        addPassedOn(&methods)
        return methods
    }

    /// What has nothing to do with contents.
    private static func addPassedOn(_ methods: inout sqlite3_io_methods) {
        methods.xSync = { file, flags in
            OpenEncryptedFile.with(file) { $0.below.methods.xSync($0.below.file, flags) }
        }
        methods.xLock = { file, level in
            OpenEncryptedFile.with(file) { $0.below.methods.xLock($0.below.file, level) }
        }
        methods.xUnlock = { file, level in
            OpenEncryptedFile.with(file) { $0.below.methods.xUnlock($0.below.file, level) }
        }
        methods.xCheckReservedLock = { file, result in
            OpenEncryptedFile.with(file) { $0.below.methods.xCheckReservedLock($0.below.file, result) }
        }
        methods.xFileControl = { file, operation, argument in
            OpenEncryptedFile.with(file) { $0.below.methods.xFileControl($0.below.file, operation, argument) }
        }
        methods.xSectorSize = { file in
            OpenEncryptedFile.with(file) { $0.below.methods.xSectorSize($0.below.file) }
        }
        // The other promises are about writes as they reach the disk, which are not SQLite's.
        methods.xDeviceCharacteristics = { file in
            OpenEncryptedFile.with(file) {
                $0.below.methods.xDeviceCharacteristics($0.below.file) & SQLITE_IOCAP_POWERSAFE_OVERWRITE
            }
        }
        methods.xShmMap = { file, index, size, extends, result in
            OpenEncryptedFile.with(file) { $0.below.methods.xShmMap($0.below.file, index, size, extends, result) }
        }
        methods.xShmLock = { file, first, count, flags in
            OpenEncryptedFile.with(file) { $0.below.methods.xShmLock($0.below.file, first, count, flags) }
        }
        methods.xShmBarrier = { file in
            _ = OpenEncryptedFile.with(file) {
                $0.below.methods.xShmBarrier($0.below.file)
                return SQLITE_OK
            }
        }
        methods.xShmUnmap = { file, deletes in
            OpenEncryptedFile.with(file) { $0.below.methods.xShmUnmap($0.below.file, deletes) }
        }
    }
}
