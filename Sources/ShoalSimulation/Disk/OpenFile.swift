import CSQLite

/// What SQLite allocates for each file that it has open on a simulated disk, and the calls that it makes on it.
struct OpenFile {
    var base: sqlite3_file
    var handle: Unmanaged<FileHandle>?

    @inline(__always)
    private static func with<T>(
        _ file: UnsafeMutablePointer<sqlite3_file>?, or failure: T, _ body: (FileHandle) -> T
    ) -> T {
        guard let file,
            let handle = UnsafeMutableRawPointer(file).assumingMemoryBound(to: OpenFile.self).pointee.handle
        else { return failure }
        return handle._withUnsafeGuaranteedRef(body)
    }

    private static func close(_ file: UnsafeMutablePointer<sqlite3_file>?) -> Int32 {
        guard let file else { return SQLITE_MISUSE }
        let open = UnsafeMutableRawPointer(file).assumingMemoryBound(to: OpenFile.self)
        guard let handle = open.pointee.handle else { return SQLITE_MISUSE }
        open.pointee.handle = nil
        handle.takeRetainedValue().close()
        return SQLITE_OK
    }

    private static func control(
        _ file: UnsafeMutablePointer<sqlite3_file>?, _ operation: Int32, _ argument: UnsafeMutableRawPointer?
    ) -> Int32 {
        let number = argument?.assumingMemoryBound(to: Int32.self)
        switch operation {
        case SQLITE_FCNTL_PERSIST_WAL:
            guard let number else { return SQLITE_MISUSE }
            number.pointee = OpenFile.with(file, or: 0) { $0.persistLog(number.pointee) }
        case SQLITE_FCNTL_POWERSAFE_OVERWRITE: number?.pointee = 1
        case SQLITE_FCNTL_HAS_MOVED: number?.pointee = 0
        case SQLITE_FCNTL_SIZE_HINT, SQLITE_FCNTL_CHUNK_SIZE: break
        default: return SQLITE_NOTFOUND
        }
        return SQLITE_OK
    }

    static var methods: sqlite3_io_methods {
        var methods = sqlite3_io_methods()
        methods.iVersion = 2
        methods.xClose = { OpenFile.close($0) }
        methods.xRead = { file, target, count, offset in
            OpenFile.with(file, or: SQLITE_MISUSE) {
                $0.read(UnsafeMutableRawBufferPointer(start: target, count: Int(count)), at: Int(offset))
            }
        }
        methods.xWrite = { file, source, count, offset in
            OpenFile.with(file, or: SQLITE_MISUSE) {
                $0.write(UnsafeRawBufferPointer(start: source, count: Int(count)), at: Int(offset))
            }
        }
        methods.xTruncate = { file, size in OpenFile.with(file, or: SQLITE_MISUSE) { $0.truncate(to: Int(size)) } }
        methods.xSync = { file, _ in OpenFile.with(file, or: SQLITE_MISUSE) { $0.sync() } }
        methods.xFileSize = { file, result in
            OpenFile.with(file, or: SQLITE_MISUSE) { handle in
                guard let size = handle.size() else { return IOFailure.size }
                result?.pointee = Int64(size)
                return SQLITE_OK
            }
        }
        methods.xLock = { file, level in OpenFile.with(file, or: SQLITE_MISUSE) { $0.lock(level) } }
        methods.xUnlock = { file, level in OpenFile.with(file, or: SQLITE_MISUSE) { $0.unlock(level) } }
        methods.xCheckReservedLock = { file, result in
            OpenFile.with(file, or: SQLITE_MISUSE) { handle in
                guard let isReserved = handle.hasWriter() else { return IOFailure.reservedLock }
                result?.pointee = isReserved ? 1 : 0
                return SQLITE_OK
            }
        }
        methods.xFileControl = { OpenFile.control($0, $1, $2) }
        // As SQLite's own for Unix says.
        methods.xSectorSize = { _ in 4_096 }
        methods.xDeviceCharacteristics = { _ in SQLITE_IOCAP_POWERSAFE_OVERWRITE }
        addSharedMemory(&methods)
        return methods
    }

    private static func addSharedMemory(_ methods: inout sqlite3_io_methods) {
        methods.xShmMap = { file, index, size, extends, result in
            OpenFile.with(file, or: SQLITE_MISUSE) { handle in
                var region: UnsafeMutableRawPointer?
                let code = handle.region(Int(index), size: Int(size), extends: extends != 0, &region)
                result?.pointee = region
                return code
            }
        }
        methods.xShmLock = { file, first, count, flags in
            OpenFile.with(file, or: SQLITE_MISUSE) { $0.lockMemory(Int(first)..<Int(first + count), flags: flags) }
        }
        methods.xShmBarrier = { file in OpenFile.with(file, or: ()) { $0.barrier() } }
        methods.xShmUnmap = { file, _ in
            OpenFile.with(file, or: SQLITE_MISUSE) { handle in
                handle.unmap()
                return SQLITE_OK
            }
        }
    }
}
