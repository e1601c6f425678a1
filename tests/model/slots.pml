/* The protocol of slots, shared state, crash, lost state and merge: no window of the server holds more than the limit.
 *
 * One unit of time is a step of the clock. The server counts a request somewhere between its grant and its answer. A slot
 * is free again WINDOW + 1 after the answer (the 1 is the safety margin: a window of the server includes its end). A
 * process may crash while its request is under way; the shared state may vanish; a process that finds it gone writes
 * back what it has sent. A process that crashes while the state vanishes is what the probe is for, and is left out: the
 * state vanishes only while all who have sent something in the last window are alive.
 *
 * Mutants, each of which must be refuted: -DFREED_AT_SEND (a slot is free a window after it was taken), -DNO_MERGE (a
 * process that finds the state gone starts from nothing).
 */
#define LIMIT 2
#define PROCESSES 2
#define WINDOW 2
#define LIFE 1              /* the longest time from grant to answer */
#define COOLDOWN (WINDOW + 1)
#define END 7               /* when the clock stops */
#define SLOTS (PROCESSES * 2)

byte now = 0;
byte free_at[SLOTS];        /* the shared state: when each slot comes free; slot s is of process s / 2 */
byte own[SLOTS];            /* what each process remembers of its own slots */
bool lost[PROCESSES];       /* the state vanished, and this process has not looked since */
byte counted[SLOTS];        /* when the server counted the latest request of each slot, plus 1; 0: never */
byte before[SLOTS];         /* and the one before */
byte deadline[SLOTS];       /* the clock may not pass this while a request is under way; 0: none is */
bool alive[PROCESSES];
hidden byte u, n, i, number;    /* for use inside one atomic step */
hidden byte may;

inline used(number) {
  number = 0; u = 0;
  do :: u < SLOTS -> if :: free_at[u] > now -> number++ :: else fi; u++ :: else -> break od
}

inline count(s) {           /* the server counts a request: no window of it holds more than the limit */
  before[s] = counted[s]; counted[s] = now + 1;
  number = 0; i = 0;
  do :: i < SLOTS ->
        if :: counted[i] != 0 && counted[i] + WINDOW > now -> number++ :: else fi;
        if :: before[i] != 0 && before[i] + WINDOW > now -> number++ :: else fi;
        i++
     :: else -> break od;
  assert(number <= LIMIT)
}

inline look(p) {            /* what a process does with the state before it decides: put back what is its own */
  if :: lost[p] ->
#ifndef NO_MERGE
       u = 2 * p;
       do :: u < 2 * p + 2 ->
             if :: own[u] > free_at[u] -> free_at[u] = own[u] :: else fi; u++
          :: else -> break od;
#endif
       lost[p] = false
     :: else fi
}

proctype Process(byte p) {
  byte s;
  do
  :: atomic { now < END && alive[p] ->            /* take a slot */
       look(p); used(n);
       /* while another process has not looked at a lost state, one request alone asks the server: here, none goes */
#ifndef NO_MERGE
       if :: lost[1 - p] && alive[1 - p] -> n = LIMIT :: else fi;
#endif
       s = 2 * p;
       if :: free_at[s] > now -> s++ :: else fi;
       if :: n < LIMIT && free_at[s] <= now ->
#ifdef FREED_AT_SEND
             free_at[s] = now + COOLDOWN;
#else
             free_at[s] = now + LIFE + COOLDOWN;
#endif
             own[s] = free_at[s]; deadline[s] = now + LIFE
          :: else -> s = 255 fi
     };
     if
     :: s == 255 -> skip
     :: else ->
             if
             :: atomic { now <= deadline[s] -> count(s) }
             :: skip                                /* it never arrives */
             fi;
             if
             :: atomic { alive[p] && now <= deadline[s] -> look(p); deadline[s] = 0;    /* answered */
#ifndef FREED_AT_SEND
                  free_at[s] = now + COOLDOWN; own[s] = free_at[s];
#endif
                  skip }
             :: atomic { alive[p] && !lost[p] -> alive[p] = false; deadline[s] = 0 }    /* crashed: nothing is settled */
             fi
     fi
  :: now >= END || !alive[p] -> break
  od
}

proctype Clock() {
  do
  :: atomic { now < END ->
       may = true; i = 0;
       do :: i < SLOTS -> may = may && (deadline[i] == 0 || now < deadline[i]); i++ :: else -> break od;
       if :: may -> now++ :: else fi;
       i = 0 }
  :: now >= END -> break
  od
}

proctype Thief() {                                  /* once, the shared state vanishes */
  atomic { now < END && alive[0] && alive[1] ->
    i = 0;
    do :: i < SLOTS -> free_at[i] = 0; i++ :: else -> break od;
    lost[0] = true; lost[1] = true }
}

init {
  atomic { alive[0] = true; alive[1] = true; run Process(0); run Process(1); run Clock(); run Thief() }
}
