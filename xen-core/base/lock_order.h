/* SPDX-License-Identifier: MIT */
/*
 * THE list of lock classes, in the order in which they may be nested (lower rank first).
 *
 * LOCK_CLASS(rank, name, irq_safe): what each protects stands in docs/locking.md (checked by lint).
 * irq_safe locks are taken with interrupts off; the others with interrupts on, so that a waiter
 * still answers TLB-flush requests.  Two locks of one class only where pair = 1: lower domain or
 * cpu first.
 */
/*         rank name        irq pair  protects */
LOCK_CLASS(10, domlist, 0, 0)   /* creation and removal of domains */
LOCK_CLASS(20, life, 0, 0)      /* per domain: create, kill, pause counts, vcpu registration */
LOCK_CLASS(25, rights, 0, 0)    /* per domain: ranges of ports, memory and irqs it may use */
LOCK_CLASS(28, msi, 0, 0)       /* which messages are used */
LOCK_CLASS(30, mm, 0, 0)        /* per domain: tables of levels 2-4, pins, cursor */
LOCK_CLASS(40, gnttab, 0, 0)    /* per domain: size and growth of its grant table */
LOCK_CLASS(45, pages, 0, 0)     /* per domain: owned-frame list and counts */
LOCK_CLASS(50, evtchn, 1, 1)    /* per domain: binding and closing ports */
LOCK_CLASS(60, runq, 1, 1)      /* per cpu: run queue */
LOCK_CLASS(70, timer, 1, 0)     /* per cpu: heap of timers */
LOCK_CLASS(75, pirq, 1, 0)      /* per domain: pirq table */
LOCK_CLASS(80, irqdesc, 1, 0)   /* per irq: descriptor */
LOCK_CLASS(85, pcicfg, 1, 0)    /* PCI configuration access */
LOCK_CLASS(86, ioapic, 1, 0)    /* register window of the I/O APICs */
LOCK_CLASS(87, tlb, 1, 0)       /* the cross-cpu flush request */
LOCK_CLASS(88, efi, 0, 0)       /* firmware runtime services */
LOCK_CLASS(90, heap, 0, 0)      /* free lists of the frame heap */
LOCK_CLASS(92, heap_pool, 0, 0) /* free lists of object pools */
LOCK_CLASS(95, console, 1, 0)   /* input ring of the console */
LOCK_CLASS(99, log, 1, 0)       /* log ring and uart */
