package dev.facematch.kotlin

import java.io.IOException
import java.net.InetAddress
import java.net.ServerSocket
import java.net.Socket
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicInteger
import kotlin.concurrent.thread

/** Passes bytes to a server, until it cuts its connections. */
class Proxy(server: String) : AutoCloseable {
    private val host = server.substringBeforeLast(':')
    private val port = server.substringAfterLast(':').toInt()
    private val listener = ServerSocket(0, 50, InetAddress.getLoopbackAddress())
    private val sockets: MutableSet<Socket> = ConcurrentHashMap.newKeySet()
    private val accepted = AtomicInteger()

    val address: String = "127.0.0.1:${listener.localPort}"

    /** How many connections there were. */
    val connections: Int get() = accepted.get()

    init {
        thread(isDaemon = true) {
            try {
                while (true) {
                    serve(listener.accept())
                }
            } catch (_: IOException) {
                // The proxy is closed.
            }
        }
    }

    /** Closes all connections. New ones are passed on. */
    fun cut() {
        sockets.forEach { it.close() }
        sockets.clear()
    }

    override fun close() {
        listener.close()
        cut()
    }

    private fun serve(caller: Socket) {
        accepted.incrementAndGet()
        val server = Socket(host, port)
        sockets += listOf(caller, server)
        pass(caller, server)
        pass(server, caller)
    }

    private fun pass(from: Socket, to: Socket) {
        thread(isDaemon = true) {
            try {
                from.getInputStream().transferTo(to.getOutputStream())
            } catch (_: IOException) {
                // The connection is cut.
            }
            from.close()
            to.close()
        }
    }
}
